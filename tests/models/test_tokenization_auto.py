"""AutoTokenizer finds our tokenizers after ``register_tokenizers`` and leaves other families alone."""

import json
import shutil
import sys

import pytest
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast, RobertaTokenizer
from transformers.models.auto import tokenization_auto as auto

from longspan.models.auto_tokenizer import register_tokenizers
from longspan.models.longformer.tokenization import LongformerTokenizer
from longspan.models.nystromformer.tokenization import NystromformerTokenizer
from tests.models.tokenizer_texts import SMALL_BPE, SPIECE, needs_spiece

TEXT = "It's (a) test <mask> now."
BERT_VOCAB = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "test"])}


@pytest.fixture(autouse=True)
def registered():
    """Register, and put the tables of transformers back afterwards."""
    tables = (auto.TOKENIZER_MAPPING_NAMES, auto.REGISTERED_TOKENIZER_CLASSES, auto.TOKENIZER_MAPPING._modules)
    tables = (*tables, auto.TOKENIZER_MAPPING._extra_content, auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS)
    before = [table.copy() for table in tables]
    register_tokenizers()
    register_tokenizers()
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


def config(directory, **content):
    (directory / "config.json").write_text(json.dumps(content))


@pytest.fixture
def longformer(tmp_path):
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(SMALL_BPE / name, tmp_path)
    config(tmp_path, model_type="longformer", max_position_embeddings=4098, pad_token_id=1)
    return tmp_path


@pytest.mark.parametrize(
    "declared", [None, "LongformerTokenizer", "LongformerTokenizerFast", "RobertaTokenizer", "RobertaTokenizerFast"]
)
def test_longformer_directories(longformer, declared):
    expected = LongformerTokenizer.from_pretrained(SMALL_BPE)(TEXT)["input_ids"]
    if declared is not None:
        content = {"tokenizer_class": declared, "model_max_length": 512}
        (longformer / "tokenizer_config.json").write_text(json.dumps(content))
    tokenizer = AutoTokenizer.from_pretrained(longformer)
    assert type(tokenizer) is LongformerTokenizer
    assert tokenizer.model_max_length == 4096
    assert tokenizer(TEXT)["input_ids"] == expected
    tokenizer.save_pretrained(longformer)
    again = AutoTokenizer.from_pretrained(longformer, model_max_length=100)
    assert type(again) is LongformerTokenizer and again.model_max_length == 100
    assert again(TEXT)["input_ids"] == expected


def test_directory_that_transformers_saved(longformer):
    RobertaTokenizer.from_pretrained(longformer).save_pretrained(longformer)
    tokenizer = AutoTokenizer.from_pretrained(longformer)
    assert type(tokenizer) is LongformerTokenizer
    assert " <mask>" in tokenizer(TEXT).tokens()


def test_without_config_the_saved_class_decides(longformer):
    LongformerTokenizer.from_pretrained(longformer).save_pretrained(longformer)
    (longformer / "config.json").unlink()
    assert type(AutoTokenizer.from_pretrained(longformer)) is LongformerTokenizer


def test_config_objects_and_the_type_keyword(longformer):
    import transformers

    from longspan import LongformerConfig

    for given in (LongformerConfig(), transformers.LongformerConfig()):
        assert type(AutoTokenizer.from_pretrained(longformer, config=given)) is LongformerTokenizer
    assert type(AutoTokenizer.from_pretrained(longformer, tokenizer_type="longformer")) is LongformerTokenizer
    assert {LongformerTokenizer, NystromformerTokenizer} <= set(auto.TOKENIZER_MAPPING.values())


def test_other_families_keep_their_tokenizers(tmp_path, longformer):
    BertTokenizer(vocab=BERT_VOCAB).save_pretrained(tmp_path / "bert")
    for model_type in ("longformer", "nystromformer", "bert"):
        config(tmp_path / "bert", model_type=model_type, max_position_embeddings=130, pad_token_id=1)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bert")
        assert type(tokenizer) is BertTokenizer
        assert tokenizer("a test").tokens() == ["[CLS]", "a", "test", "[SEP]"]
        if model_type != "bert":
            assert tokenizer.model_max_length == {"longformer": 128, "nystromformer": 130}[model_type]
    saved = json.loads((tmp_path / "bert" / "tokenizer_config.json").read_text())
    saved["tokenizer_class"] = "PreTrainedTokenizerFast"
    (tmp_path / "bert" / "tokenizer_config.json").write_text(json.dumps(saved))
    config(tmp_path / "bert", model_type="longformer")
    assert type(AutoTokenizer.from_pretrained(tmp_path / "bert")) is PreTrainedTokenizerFast
    config(longformer, model_type="roberta")
    assert type(AutoTokenizer.from_pretrained(longformer)) is RobertaTokenizer


@needs_spiece
@pytest.mark.parametrize("declared", [None, "AlbertTokenizer", "AlbertTokenizerFast", {}])
def test_nystromformer_with_sentencepiece(tmp_path, declared):
    shutil.copy(SPIECE, tmp_path / "spiece.model")
    config(tmp_path, model_type="nystromformer", max_position_embeddings=510)
    if declared is not None:
        content = {"do_lower_case": True, "remove_space": True, "keep_accents": False, "model_max_length": 512}
        content.update({"tokenizer_class": declared} if declared else {})
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert type(tokenizer) is NystromformerTokenizer
    assert tokenizer.model_max_length == 510
    tokens = tokenizer("Hello (world)").tokens()
    assert tokens[0] == "[CLS]" and tokens[-1] == "[SEP]" and "(" in tokens
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "spiece.model").unlink()
    assert AutoTokenizer.from_pretrained(tmp_path)("Hello (world)").tokens() == tokens


@needs_spiece
@pytest.mark.parametrize("declared", [None, "AlbertTokenizer"])
def test_without_sentencepiece_the_error_names_the_extra(tmp_path, monkeypatch, declared):
    shutil.copy(SPIECE, tmp_path / "spiece.model")
    config(tmp_path, model_type="nystromformer")
    if declared is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": declared}))
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ImportError, match=r"pip install longspan\[sentencepiece\]"):
        AutoTokenizer.from_pretrained(tmp_path)
