"""The task wikihop: its rows, its scores, and that its parts do not see each other."""

import json
from copy import deepcopy
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from longspan import (
    LongformerConfig,
    LongformerForTokenClassification,
    NystromformerConfig,
    NystromformerForTokenClassification,
)
from longspan.tasks.examples import BadRow, ChoiceExample, DataError, Source
from longspan.tasks.registry import make_task
from longspan.tasks.task import Encoding
from longspan.tasks.wikihop import MARKERS, WikiHop, score_candidates
from tests.tasks.small_tokenizers import KINDS, SENTENCES, byte_level

QUERY = "duty licensee"


def example(choices=("royalty", "notice", "losses"), label=0, supports=SENTENCES, key="w"):
    return ChoiceExample(key, Source("w.json", 1), QUERY, tuple(choices), label, tuple(supports))


@cache
def marked(kind="byte-level BPE"):
    tokenizer = deepcopy(KINDS[kind]())
    tokenizer.add_tokens(list(WikiHop.special_tokens), special_tokens=True)
    return tokenizer


def split(row):
    """The parts of a row."""
    ends = np.cumsum(row["parts"]).tolist()
    return [row["input_ids"][end - n : end] for end, n in zip(ends, row["parts"], strict=True)]


def encode(asked, encoding, training=True):
    (row,) = WikiHop().encode(asked, encoding, training)
    return row


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_question_candidates_documents(kind):
    tokenizer = marked(kind)
    row = encode(example(supports=("One.", "Two of it.")), Encoding(tokenizer, None))
    q, q_end, mark, mark_end = tokenizer.convert_tokens_to_ids(list(MARKERS))

    def ids(text):
        return tokenizer(" " + text, add_special_tokens=False)["input_ids"]

    front = [tokenizer.cls_token_id, q, *ids(QUERY), q_end]
    for choice in ("royalty", "notice", "losses"):
        front += [mark, *ids(choice), mark_end]
    sep = tokenizer.sep_token_id
    assert row["input_ids"] == [*front, sep, *ids("One."), sep, *ids("Two of it."), sep]
    assert row["parts"] == [len(row["input_ids"])] and row["front"] == len(front) and row["label"] == 0
    assert [row["input_ids"][place] for place in row["places"]] == [mark] * 3


def test_parts_hold_all_documents_and_all_candidates():
    tokenizer = marked()
    whole = encode(example(), Encoding(tokenizer, None))
    front, documents = whole["input_ids"][: whole["front"]], whole["input_ids"][whole["front"] : -1]
    row = encode(example(), Encoding(tokenizer, whole["front"] + 31))
    parts = split(row)
    assert len(parts) > 2 and all(len(part) <= whole["front"] + 31 for part in parts)
    assert all(part[: len(front)] == front and part[-1] == tokenizer.sep_token_id for part in parts)
    read = [part[len(front) : -1] for part in parts]
    rest = (len(documents) - 1) % 30 + 1
    # nothing is shared, but for the last part, which is full
    assert [token for part in read[:-1] for token in part] + read[-1][-rest:] == documents
    assert read[-1] == documents[-30:]


def test_a_batch():
    tokenizer, task = marked(), WikiHop()
    front = encode(example(), Encoding(tokenizer, None))["front"]
    encoding = Encoding(tokenizer, front + 40)
    rows = [encode(example(), encoding), encode(example(("yes", "no"), 1, SENTENCES[:1]), encoding)]
    batch = task.collate(rows, encoding)
    assert torch.equal(batch["segment_ids"] >= 0, batch["attention_mask"] == 1)
    for i, row in enumerate(rows):
        assert torch.equal(
            batch["segment_ids"][i].unique_consecutive()[: len(row["parts"])], torch.arange(len(row["parts"]))
        )
        place = batch["candidates"][i]
        assert (batch["input_ids"][i][place[place >= 0]] == tokenizer.convert_tokens_to_ids("[ent]")).all()
        assert batch["global_attention_mask"][i].sum() == row["front"] * len(row["parts"])
    assert batch["candidates"].shape == (2, len(rows[0]["parts"]), 3)
    assert (batch["candidates"][1, :, 2] == -1).all() and (batch["candidates"][1, len(rows[1]["parts"]) :] == -1).all()
    assert task.count_targets(batch) == 2 and batch["label"].tolist() == [0, 1]
    nystrom = Encoding(tokenizer, front + 40, family="nystromformer")
    assert "global_attention_mask" not in task.collate(rows, nystrom)
    assert not {"candidates", "label"} - set(task.targets)


def test_scores_are_means_over_the_parts():
    logits = torch.randn(2, 9, 1, generator=torch.Generator().manual_seed(0))
    candidates = torch.tensor([[[1, 2, 3], [5, 6, 8]], [[0, 4, -1], [-1, -1, -1]]])
    scores = score_candidates(logits, candidates)
    x = logits[..., 0]
    assert torch.allclose(scores[0], torch.stack([x[0, 1] + x[0, 5], x[0, 2] + x[0, 6], x[0, 3] + x[0, 8]]) / 2)
    assert torch.equal(scores[1, :2], x[1, [0, 4]]) and scores[1].softmax(0)[2] == 0


def test_the_loss_is_the_cross_entropy_of_the_candidates():
    task = WikiHop()
    logits = torch.randn(3, 9, 1, generator=torch.Generator().manual_seed(0))
    batch = {"candidates": torch.tensor([[[1, 2, 3]]] * 3), "label": torch.tensor([2, 0, -100])}
    outputs = SimpleNamespace(logits=logits)
    expected = cross_entropy(logits[:2, 1:4, 0], batch["label"][:2])
    assert task.count_targets(batch) == 2
    assert torch.allclose(task.loss(outputs, batch), expected)
    assert torch.allclose(task.loss(outputs, batch, torch.tensor(8)), expected / 4)


SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 200,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    **WikiHop().settings(),
}


def make_model(family, tokenizer):
    torch.manual_seed(0)
    fields = {**SIZES, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if family == "longformer":
        config = LongformerConfig(**fields, attention_window=8, sep_token_id=tokenizer.sep_token_id)
        return LongformerForTokenClassification(config).eval()
    config = NystromformerConfig(**fields, num_landmarks=4, segment_means_seq_len=8, attention_type="nystrom")
    return NystromformerForTokenClassification(config).eval()


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_a_row_gives_what_its_parts_give_alone(family):
    tokenizer, task = marked(), WikiHop()
    model = make_model(family, tokenizer)
    front = encode(example(), Encoding(tokenizer, None))["front"]
    encoding = Encoding(tokenizer, front + 40, family=family)
    asked = example()
    row = encode(asked, encoding)
    inputs = {name: value for name, value in task.collate([row], encoding).items() if name not in task.targets}
    with torch.inference_mode():
        together = model(**inputs).logits[0]
        alone = []
        for part in split(row):
            single = {"input_ids": torch.tensor([part])}
            if family == "longformer":
                single["global_attention_mask"] = (torch.arange(len(part)) < row["front"]).long()[None]
            alone.append(model(**single).logits[0])
    assert len(alone) > 2 and torch.allclose(together, torch.cat(alone), atol=1e-5)
    scores = torch.stack([logits[row["places"], 0] for logits in alone]).mean(0)
    prediction = task.decode(asked, [row], [{"logits": together.numpy()}])
    assert prediction["choice"] == int(scores.argmax()) and prediction["text"] == asked.choices[prediction["choice"]]
    assert prediction["probabilities"] == pytest.approx(scores.softmax(0).tolist(), abs=1e-5)
    assert json.loads(json.dumps(prediction)) == prediction


def test_what_fits_nothing_is_a_bad_row():
    tokenizer, task = marked(), WikiHop()
    front = encode(example(), Encoding(tokenizer, None))["front"]
    bad = task.encode(example(), Encoding(tokenizer, front + 1), True)
    assert isinstance(bad, BadRow)
    assert f"its 3 candidates take {front + 1} tokens, of the {front + 1} that" in bad.reason
    assert "candidates are never cut" in bad.reason
    assert encode(example(supports=()), Encoding(tokenizer, front + 1))["parts"] == [front + 1]
    bad = task.encode(example(label=3), Encoding(tokenizer, None), True)
    assert isinstance(bad, BadRow) and "the label 3 is none of 3 candidates" in bad.reason
    bad = task.encode(example(label=None), Encoding(tokenizer, None), True)
    assert isinstance(bad, BadRow) and bad.reason == "there is no answer to learn"
    assert encode(example(label=None), Encoding(tokenizer, None), False)["label"] == -100


def test_a_tokenizer_without_the_markers_is_refused():
    with pytest.raises(ValueError, match=r"has no token \[q\]: add \[q\], \[/q\], \[ent\], \[/ent\] as special tokens"):
        WikiHop().encode(example(), Encoding(byte_level(), None), True)


def test_scores():
    task = WikiHop()
    right, wrong = {"id": "w", "choice": 0}, {"id": "w", "choice": 2}
    assert task.score([example()] * 4, [right, wrong, right, right]) == {"accuracy": 0.75}
    with pytest.raises(ValueError, match=r"w\.json:1: there is no gold answer"):
        task.score([example(label=None)], [right])
    assert isinstance(make_task("wikihop", task.options()), WikiHop)
    with pytest.raises(DataError, match="no layout 'squad' for this task; there is wikihop"):
        list(task.read("x.json", "squad"))
