"""`AutoTokenizer` on a converted checkpoint is the source's tokenizer with the new limit."""

import json

import pytest
import transformers
from transformers import AutoTokenizer

import longspan
from tests._support import run_python
from tests.models.conversion_cases import TYPES, convert, make_source
from tests.models.hub_models import SMALL_BPE

TEXT = "The parties agree that this is a long document."
PAIR = ("Who agrees?", TEXT)
_WORDS = [*"abcdefghijklmnopqrstuvwxyz.?", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"), "the", "document"]
_PIECES = [(f"▁{c}", -3.0) for c in "abcdefghijklmnopqrstuvwxyzTW"] + [
    (c, -4.0) for c in "abcdefghijklmnopqrstuvwxyz.?"
]


def make_tokenizer(model_type):
    if model_type == "roberta":
        return transformers.RobertaTokenizer.from_pretrained(SMALL_BPE)
    if model_type in ("bert", "electra"):
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        vocabulary = {token: i for i, token in enumerate([*special, *_WORDS])}
        return transformers.BertTokenizer(vocab=vocabulary, do_lower_case=True)
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary = [*special, ("▁the", -1.0), *_PIECES, ("<mask>", 0.0)]
    if model_type == "camembert":
        return transformers.CamembertTokenizer(vocab=vocabulary, additional_special_tokens=[])
    return transformers.XLMRobertaTokenizer(vocab=vocabulary)


def make_whole_source(folder, model_type, **changes):
    tokenizer = make_tokenizer(model_type)
    tokenizer.model_max_length = 24
    source = make_source(
        folder, model_type, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id, eos_token_id=tokenizer.sep_token_id, **changes,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return source


@pytest.mark.parametrize("model_type", TYPES)
def test_the_class_stays_and_the_limit_is_new(tmp_path, model_type):
    make_whole_source(tmp_path / "source", model_type)
    report, out = convert(tmp_path / "source")
    before, after = AutoTokenizer.from_pretrained(tmp_path / "source"), AutoTokenizer.from_pretrained(out)
    assert type(after) is type(before) and report.tokenizer_class == type(before).__name__
    assert (before.model_max_length, after.model_max_length) == (24, 100)
    assert before(*PAIR).data == after(*PAIR).data
    assert len(after(TEXT * 20, truncation=True)["input_ids"]) == 100
    config = longspan.LongformerConfig.from_pretrained(out)
    assert config.sep_token_id == before.sep_token_id and config.pad_token_id == before.pad_token_id


@pytest.mark.parametrize("model_type", ["roberta", "bert"])
def test_a_nystromformer_has_the_same_tokens(tmp_path, model_type):
    make_whole_source(tmp_path / "source", model_type)
    _, out = convert(tmp_path / "source", "nystromformer")
    before, after = AutoTokenizer.from_pretrained(tmp_path / "source"), AutoTokenizer.from_pretrained(out)
    assert before(*PAIR)["input_ids"] == after(*PAIR)["input_ids"]
    assert after.model_max_length == 100 and after.mask_token == before.mask_token


def test_after_register_it_is_the_same_too(tmp_path):
    make_whole_source(tmp_path / "source", "bert")
    outs = [str(convert(tmp_path / "source", to)[1]) for to in ("longformer", "nystromformer")]
    code = (
        "import sys, json, longspan\nfrom transformers import AutoTokenizer, AutoModel\nlongspan.register()\n"
        "for out in sys.argv[2:]:\n"
        "    tokenizer, model = AutoTokenizer.from_pretrained(out), AutoModel.from_pretrained(out)\n"
        "    ids, library = tokenizer(sys.argv[1])['input_ids'], type(model).__module__.split('.')[0]\n"
        "    print(json.dumps([type(tokenizer).__name__, tokenizer.model_max_length, ids, library]))\n"
    )
    ids = AutoTokenizer.from_pretrained(tmp_path / "source")(TEXT)["input_ids"]
    for line in run_python(code, TEXT, *outs).splitlines():
        assert json.loads(line) == ["BertTokenizer", 100, ids, "longspan"]


def test_a_limit_inside_the_tokenizer_file_goes(tmp_path):
    make_whole_source(tmp_path / "source", "roberta")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "source")
    tokenizer.backend_tokenizer.enable_truncation(8)
    tokenizer.backend_tokenizer.enable_padding(length=8)
    tokenizer.backend_tokenizer.save(str(tmp_path / "source" / "tokenizer.json"))
    _, out = convert(tmp_path / "source")
    saved = json.loads((out / "tokenizer.json").read_text())
    assert saved["truncation"] is None and saved["padding"] is None


def test_a_source_without_a_tokenizer(tmp_path):
    make_source(tmp_path / "source", "bert")
    report, out = convert(tmp_path / "source")
    assert report.tokenizer_class is None
    assert not list(out.glob("*token*")) and not list(out.glob("vocab*"))


def test_a_longer_longformer_keeps_its_tokenizer(tmp_path):
    tokenizer = longspan.LongformerTokenizer.from_pretrained(SMALL_BPE)
    config = longspan.LongformerConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        attention_window=4, max_position_embeddings=20,
    )  # fmt: skip
    longspan.LongformerModel(config).save_pretrained(tmp_path / "source")
    tokenizer.save_pretrained(tmp_path / "source")
    _, out = convert(tmp_path / "source", window=None)
    again = longspan.LongformerTokenizer.from_pretrained(out)
    assert again.model_max_length == 100 and again(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
