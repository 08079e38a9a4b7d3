"""The tagger on small checkpoints: offsets, limits, faulty checkpoints, dense timing."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from longspan.models.longformer import LongformerForTokenClassification, LongformerModel
from longspan.predict.dense import dense_attention, masked_attention
from longspan.predict.tag import Tagger, read_newlines
from longspan.tasks.rules import Rule, save_rules
from longspan.train.export import build_config, export
from longspan.train.vocabulary import train_tokenizer

TEXT = "This Agreement is governed by the law of Ohio.\r\n\r\nThe “Licensor” (société) may assign it. 😀 End. " * 12
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "attention_window": 8,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint as the recipe writes one, with random weights; it calls every token with a capital a name."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer([TEXT], size=300)
    tokenizer.save(str(folder / "source.json"))
    torch.manual_seed(0)
    model = LongformerForTokenClassification(build_config(SHAPE, 300, 16, 4))
    with torch.no_grad():
        model.classifier.bias[2] = 9.0
        for layer in model.longformer.encoder.layer:
            layer.attention.self.value.weight *= 30  # so that it matters what a token sees
        model.classifier.weight *= 30
    export(model, folder / "source.json", folder, labels=["I-A", "I-B", "B-A"], columns=[0, 2, 3], positive=3.0)
    save_rules({"A": Rule("tokens", 0.3), "B": Rule("tokens", 0.9)}, folder / "decoding.json")
    return folder


@pytest.fixture(scope="module")
def tagger(folder):
    return Tagger.from_pretrained(folder)


def test_line_ends_change_offsets_only(tagger):
    plain = TEXT.replace("\r\n", "\n")
    there, here = tagger(TEXT).passages, tagger(plain).passages
    assert [(p.category, p.score, TEXT[p.start : p.end].replace("\r\n", "\n")) for p in there] == [
        (p.category, p.score, plain[p.start : p.end]) for p in here
    ]
    assert "\r\n" in TEXT[there[0].start : there[-1].end] and there != here


@pytest.mark.parametrize("text", ["", "a", "\r\n", "\r\n\r\n", "a\r\nb\rc\n\r\n", "\r\r\n\n"])
def test_offsets_of_read_newlines(text):
    plain, place = read_newlines(text)
    assert plain == text.replace("\r\n", "\n")
    for start in range(len(plain) + 1):
        for end in range(start, len(plain) + 1):
            assert text[place(start) : place(end)].replace("\r\n", "\n") == plain[start:end]


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "a/b/c"])
def test_a_folder_that_is_not_there_is_named(name):
    with pytest.raises(FileNotFoundError, match=re.escape(repr(name))):
        Tagger.from_pretrained(name)


def test_a_folder_without_a_configuration_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        Tagger.from_pretrained(tmp_path)


def test_passages_come_sorted_inside_the_text(tagger):
    result = tagger(TEXT)
    assert tagger.categories == ("A", "B")
    assert result.n_tokens == len(tagger.tokenizer(TEXT.replace("\r\n", "\n"))["input_ids"])
    assert result.seconds > 0
    assert [p.start for p in result.passages] == sorted(p.start for p in result.passages)
    assert all(0 <= p.start < p.end <= len(TEXT) and 0 <= p.score <= 1 for p in result.passages)
    # The bias makes every token a B: one passage, from the first visible character to the last.
    (b,) = [p for p in result.passages if p.category == "B"]
    assert TEXT[b.start : b.end] == TEXT.strip()


def test_the_document_is_read_in_one_pass_however_long(tagger, monkeypatch):
    calls = []
    forward = type(tagger.model).forward
    monkeypatch.setattr(
        type(tagger.model), "forward", lambda self, **kw: calls.append(kw["input_ids"].shape) or forward(self, **kw)
    )
    result = tagger(TEXT * 4)
    assert calls == [(1, result.n_tokens)] and result.n_tokens > 1000


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_blank_text_holds_nothing(tagger, text):
    assert tagger(text).passages == ()


def test_a_lone_surrogate_is_read_and_keeps_the_offsets(tagger):
    (b,) = [p for p in tagger("one \ud800 two").passages if p.category == "B"]
    assert (b.start, b.end) == (0, 9)


@pytest.mark.parametrize("text", [None, b"bytes", 3])
def test_what_is_no_text_is_refused(tagger, text):
    with pytest.raises(TypeError, match=f"text must be a str, got {type(text).__name__}"):
        tagger(text)


def test_progress_is_told_after_each_layer(tagger):
    told = []
    tagger(TEXT, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    tagger(TEXT)
    assert len(told) == 2


def test_eight_threads_get_what_one_gets(tagger):
    texts = [TEXT[i:] for i in range(0, 160, 20)]
    alone = [tagger(text).passages for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert [r.passages for r in pool.map(tagger, texts)] == alone


def test_a_document_beyond_the_positions_is_refused_with_the_limit(folder, tmp_path):
    other = copy(folder, tmp_path, position_period=None, max_position_embeddings=18)
    tagger = Tagger.from_pretrained(other)
    assert tagger.max_tokens == 16
    with pytest.raises(ValueError, match=r"has [\d,]+ tokens, but the model has positions for 16;"):
        tagger(TEXT)
    assert tagger("one two").n_tokens <= 16


def test_a_checkpoint_without_rules_uses_the_default_ones(folder, tmp_path):
    other = copy(folder, tmp_path)
    (other / "decoding.json").unlink()
    tagger = Tagger.from_pretrained(other)
    assert tagger.rules == {} and any(p.category == "B" for p in tagger(TEXT).passages)


def test_a_softmax_checkpoint_is_read_as_one(folder, tmp_path):
    tagger = Tagger.from_pretrained(copy(folder, tmp_path, problem_type=None, id2label={0: "O", 1: "I-B", 2: "B-B"}))
    assert tagger.categories == ("B",)
    passages = tagger(TEXT).passages
    assert passages and all(p.category == "B" for p in passages)


def test_other_checkpoints_are_refused_by_name(folder, tmp_path):
    with pytest.raises(ValueError, match=r"a checkpoint of 'bert'; longspan reads longformer and nystromformer"):
        Tagger.from_pretrained(copy(folder, tmp_path / "bert", model_type="bert"))
    bare = copy(folder, tmp_path / "bare")
    LongformerModel(build_config(SHAPE, 300, 16, 3)).save_pretrained(bare)
    with pytest.raises(
        ValueError, match=r"lacks weights of LongformerForTokenClassification \(classifier\.bias, class"
    ):
        Tagger.from_pretrained(bare)
    with pytest.raises(OSError):
        Tagger.from_pretrained(tmp_path / "nowhere")


def test_faulty_rules_are_refused_by_file(folder, tmp_path):
    other = copy(folder, tmp_path)
    (other / "decoding.json").write_text("[1]")
    with pytest.raises(ValueError, match=re.escape("decoding.json")):
        Tagger.from_pretrained(other)


def test_dense_attention_gives_the_same_and_leaves_no_trace(tagger):
    before = tagger(TEXT).passages
    ids = torch.tensor([tagger.tokenizer(TEXT)["input_ids"]])
    with torch.inference_mode():
        window = tagger.model(input_ids=ids).logits
        with dense_attention(tagger.model):
            dense = tagger.model(input_ids=ids).logits
    assert torch.allclose(window, dense, atol=1e-5) and not torch.equal(window, dense)
    assert tagger.time_dense(TEXT) > 0
    assert tagger(TEXT).passages == before
    with torch.inference_mode():
        assert torch.equal(tagger.model(input_ids=ids).logits, window)


def test_dense_attention_equals_the_formula(monkeypatch):
    monkeypatch.setattr("longspan.predict.dense.BLOCK", 7)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 20, 2, 4, dtype=torch.float64)
    far = (torch.arange(20)[:, None] - torch.arange(20)).abs() > 3
    scores = torch.einsum("bnhd,bmhd->bhnm", q, k) / 2
    expected = torch.einsum("bhnm,bmhd->bnhd", scores.masked_fill(far, -torch.inf).softmax(-1), v)
    assert np.allclose(masked_attention(q, k, v, 3), expected, atol=1e-12)


def test_a_dense_time_with_another_result_is_refused(tagger, monkeypatch):
    monkeypatch.setattr("longspan.predict.dense.masked_attention", lambda q, k, v, reach: torch.zeros_like(q))
    with pytest.raises(ValueError, match="dense attention gave other probabilities"):
        tagger.time_dense(TEXT)


def copy(folder, target, **config):
    """The checkpoint elsewhere, with other fields in its config.json."""
    target = target / "model" if target.exists() else target
    shutil.copytree(folder, target)
    fields = json.loads((target / "config.json").read_text()) | config
    if "id2label" in config:
        fields["label2id"] = {label: i for i, label in config["id2label"].items()}
    (target / "config.json").write_text(json.dumps(fields))
    return target
