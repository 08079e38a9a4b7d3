"""A Nyströmformer checkpoint with ALBERT's SentencePiece model: pieces of sentencepiece, and honest errors."""

import json
import shutil
import sys
import unicodedata

import pytest
from transformers import AlbertTokenizer

from longspan.models.nystromformer.tokenization import NystromformerTokenizer
from tests.models.tokenizer_texts import DATA, ODD_TEXTS, SPIECE, contracts, needs_spiece, replaced, reviews

TEXT = "The (quick) brown-fox. It costs £5, isn't it?"


@pytest.fixture
def directory(tmp_path):
    shutil.copy(SPIECE, tmp_path / "spiece.model")
    config = {"model_type": "nystromformer", "max_position_embeddings": 510}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def albert_text(text):
    """What ALBERT does to a text before SentencePiece reads it."""
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text.lower()


@needs_spiece
def test_ids_are_those_of_sentencepiece(directory):
    sentencepiece = pytest.importorskip("sentencepiece")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(SPIECE))
    tokenizer = NystromformerTokenizer.from_pretrained(directory)
    # Of a long text, some pieces: two ways to cut a word can score the same to the last bit but one.
    texts = [TEXT, *(text[:1500] for text in contracts()), *(text[:1500] for text in reviews())]
    different = [
        text
        for text in texts
        if tokenizer(text, add_special_tokens=False)["input_ids"] != processor.encode(albert_text(text))
    ]
    assert len(different) <= 0.01 * len(texts), different[:1]
    assert TEXT not in different


@needs_spiece
def test_format_and_decoding(directory):
    tokenizer = NystromformerTokenizer.from_pretrained(directory)
    encoding = tokenizer("hello world", "pair", return_token_type_ids=True, return_offsets_mapping=True)
    tokens = encoding.tokens()
    assert tokens[0] == "[CLS]" and tokens.count("[SEP]") == 2 and tokens[-1] == "[SEP]"
    assert encoding["token_type_ids"][-2:] == [1, 1] and encoding["token_type_ids"][0] == 0
    assert tokenizer.decode(tokenizer(TEXT)["input_ids"], skip_special_tokens=True) == TEXT.lower()
    # transformers makes special tokens of the punctuation; a collator would then never mask a full stop.
    assert set(tokenizer.all_special_tokens) == {"[CLS]", "[SEP]", "<unk>", "<pad>", "[MASK]"}
    assert [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id] == [0, 1, 4]
    assert tokenizer.model_max_length == 510
    for text in ODD_TEXTS.values():
        assert tokenizer(text)["input_ids"] == tokenizer(replaced(text))["input_ids"]
    start, end = encoding["offset_mapping"][1]
    assert "hello world"[start:end].strip() and encoding["input_ids"][-1] == tokenizer.sep_token_id


@needs_spiece
def test_options_of_albert(directory):
    cased = NystromformerTokenizer.from_pretrained(directory, do_lower_case=False, keep_accents=True)
    plain = NystromformerTokenizer.from_pretrained(directory)
    assert cased("Café")["input_ids"] != plain("Café")["input_ids"]
    assert plain("Café")["input_ids"] == plain("cafe")["input_ids"]


@needs_spiece
def test_round_trip(directory, tmp_path):
    tokenizer = NystromformerTokenizer.from_pretrained(directory)
    tokenizer.add_tokens(["<clause>"])
    tokenizer.save_pretrained(tmp_path / "saved")
    texts = [TEXT, "a <clause> [MASK] b", *(replaced(text) for text in ODD_TEXTS.values())]
    again = NystromformerTokenizer.from_pretrained(tmp_path / "saved")
    assert type(again) is NystromformerTokenizer
    assert again(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert again.special_tokens_map == tokenizer.special_tokens_map
    (tmp_path / "saved" / "tokenizer_config.json").unlink()
    bare = NystromformerTokenizer.from_pretrained(tmp_path / "saved")
    assert bare.special_tokens_map == tokenizer.special_tokens_map
    assert AlbertTokenizer.from_pretrained(tmp_path / "saved")(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    (path,) = tokenizer.save_vocabulary(str(tmp_path), "copy")
    assert path.endswith("copy-spiece.model")
    with pytest.raises(ValueError, match=r"was not read from a spiece.model"):
        bare.save_vocabulary(str(tmp_path))


@needs_spiece
@pytest.mark.parametrize("package", ["sentencepiece", "google.protobuf"])
def test_without_sentencepiece_the_error_names_the_extra(directory, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install longspan\[sentencepiece\]"):
        NystromformerTokenizer.from_pretrained(directory)


@needs_spiece
def test_unreadable_files_are_named(directory):
    with open(SPIECE, "rb") as file:
        (directory / "spiece.model").write_bytes(file.read(5000))
    with pytest.raises(ValueError, match=r"vocab_file=.* is not a SentencePiece model"):
        NystromformerTokenizer.from_pretrained(directory)
    shutil.copy(DATA / "tokenizer-fixtures" / "sentencepiece" / "test_model.model", directory / "spiece.model")
    with pytest.raises(ValueError, match=r"vocab_file=.* is not in ALBERT's layout"):
        NystromformerTokenizer.from_pretrained(directory)
    (directory / "spiece.model").unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer.json and no spiece.model"):
        NystromformerTokenizer.from_pretrained(directory)
