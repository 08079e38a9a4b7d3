"""Loading and saving: every kind of file, the model's length, and errors that name what is wrong."""

import json
import logging
import shutil
import subprocess
import sys

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertTokenizer, RobertaTokenizerFast

from longspan.models.longformer.tokenization import LongformerTokenizer
from tests.models.tokenizer_texts import ODD_TEXTS, SMALL_BPE, replaced

VOCAB, MERGES = SMALL_BPE / "vocab.json", SMALL_BPE / "merges.txt"
TEXTS = [replaced(text) for text in ODD_TEXTS.values()]


@pytest.fixture
def directory(tmp_path):
    """A checkpoint's directory with vocab.json and merges.txt."""
    for path in (VOCAB, MERGES):
        shutil.copy(path, tmp_path)
    return tmp_path


def write(directory, name, **content):
    (directory / name).write_text(json.dumps(content), encoding="utf-8")


def encode(tokenizer, texts=TEXTS):
    return dict(tokenizer(texts, return_offsets_mapping=True))


def test_every_way_to_build_gives_the_same(directory):
    expected = encode(LongformerTokenizer.from_pretrained(directory))
    vocab = json.loads(VOCAB.read_text())
    lines = MERGES.read_text().split("\n")[1:-1]
    saved = directory / "saved"
    LongformerTokenizer(str(VOCAB), str(MERGES)).save_pretrained(saved)
    for tokenizer in (
        LongformerTokenizer(VOCAB, MERGES),
        LongformerTokenizer(vocab_file=VOCAB, merges_file=MERGES),
        LongformerTokenizer(vocab=vocab, merges=lines),
        LongformerTokenizer(vocab=vocab, merges=[tuple(line.split(" ")) for line in lines]),
        LongformerTokenizer(tokenizer_file=saved / "tokenizer.json"),
        LongformerTokenizer(tokenizer_object=Tokenizer.from_file(str(saved / "tokenizer.json"))),
        LongformerTokenizer.from_pretrained(saved),
        LongformerTokenizer.from_pretrained(str(saved / "tokenizer.json")),
    ):
        assert encode(tokenizer) == expected


def test_round_trips_with_transformers(directory, tmp_path):
    ours = LongformerTokenizer.from_pretrained(directory, model_max_length=77, padding_side="left")
    ours.add_tokens(["<clause>"])
    ours.save_pretrained(tmp_path / "ours")
    theirs = RobertaTokenizerFast.from_pretrained(tmp_path / "ours")
    again = LongformerTokenizer.from_pretrained(tmp_path / "ours")
    for tokenizer in (theirs, again):
        assert tokenizer.model_max_length == 77 and tokenizer.padding_side == "left"
        assert encode(tokenizer, [*TEXTS, "a <clause> b"]) == encode(ours, [*TEXTS, "a <clause> b"])
    theirs.save_pretrained(tmp_path / "theirs")
    back = LongformerTokenizer.from_pretrained(tmp_path / "theirs")
    assert encode(back, [*TEXTS, "a <clause> b"]) == encode(ours, [*TEXTS, "a <clause> b"])
    assert json.loads((tmp_path / "ours" / "tokenizer_config.json").read_text())["tokenizer_class"] == (
        "LongformerTokenizer"
    )


def test_files_of_transformers_4_load(directory):
    """Version 4 wrote special_tokens_map.json with dicts, and AddedTokens into tokenizer_config.json."""
    added = {"content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    write(directory, "special_tokens_map.json", mask_token=added, pad_token="<pad>", cls_token="<s>")
    write(
        directory,
        "tokenizer_config.json",
        tokenizer_class="LongformerTokenizer",
        mask_token={"__type": "AddedToken", **added},
        add_prefix_space=False,
        errors="replace",
        trim_offsets=True,
        model_max_length=4096,
        clean_up_tokenization_spaces=True,
    )
    tokenizer = LongformerTokenizer.from_pretrained(directory)
    assert tokenizer.model_max_length == 4096
    assert encode(tokenizer) == encode(LongformerTokenizer(VOCAB, MERGES))


def test_tokenizer_json_is_taken_as_it_is(directory, tmp_path):
    ours = LongformerTokenizer.from_pretrained(directory, add_prefix_space=True, trim_offsets=False)
    ours.backend_tokenizer.normalizer = normalizers.Lowercase()
    ours.save_pretrained(tmp_path / "saved")
    expected = encode(ours)
    assert encode(LongformerTokenizer.from_pretrained(tmp_path / "saved")) == expected
    (tmp_path / "saved" / "tokenizer_config.json").unlink()
    bare = LongformerTokenizer.from_pretrained(tmp_path / "saved")
    assert bare.add_prefix_space is True and bare.trim_offsets is False
    assert encode(bare) == expected
    assert encode(LongformerTokenizer.from_pretrained(tmp_path / "saved", add_prefix_space=False)) != expected


def test_byte_level_step_among_others():
    backend = LongformerTokenizer(VOCAB, MERGES).backend_tokenizer
    digits, words = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    tokenizer = LongformerTokenizer(tokenizer_object=backend)
    assert tokenizer.tokenize("in 1999") == ["in", "Ġ", "1", "9", "9", "9"]
    assert LongformerTokenizer(tokenizer_object=backend, add_prefix_space=True).tokenize("in 1999")[0] == "Ġin"


def test_save_vocabulary(tmp_path):
    tokenizer = LongformerTokenizer(VOCAB, MERGES)
    assert [path.rsplit("/", 1)[1] for path in tokenizer.save_vocabulary(str(tmp_path))] == ["vocab.json", "merges.txt"]
    assert json.loads((tmp_path / "vocab.json").read_text()) == json.loads(VOCAB.read_text())
    assert (tmp_path / "merges.txt").read_text().split("\n")[1:] == MERGES.read_text().split("\n")[1:]
    assert encode(LongformerTokenizer.from_pretrained(tmp_path)) == encode(tokenizer)
    assert tokenizer.save_vocabulary(str(tmp_path), "old")[0].endswith("old-vocab.json")
    with pytest.raises(ValueError, match=r"save_directory=.* is no directory"):
        tokenizer.save_vocabulary(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("saved", [None, 512, 4096, 16384, 1e30])
def test_fault_38_length_is_that_of_the_model(directory, saved, caplog):
    write(directory, "config.json", model_type="longformer", max_position_embeddings=4098, pad_token_id=1)
    if saved is not None:
        write(directory, "tokenizer_config.json", model_max_length=saved)
    with caplog.at_level(logging.WARNING, "longspan.tokenizers"):
        tokenizer = LongformerTokenizer.from_pretrained(directory)
        LongformerTokenizer.from_pretrained(directory)
    assert tokenizer.model_max_length == 4096
    assert [record.args[1:3] for record in caplog.records] == ([(saved, 4096)] if saved in (512, 16384) else [])
    assert len(tokenizer("a " * 5000, truncation=True)["input_ids"]) == 4096
    assert LongformerTokenizer.from_pretrained(directory, model_max_length=99).model_max_length == 99
    tokenizer.save_pretrained(directory)
    assert json.loads((directory / "tokenizer_config.json").read_text())["model_max_length"] == 4096


@pytest.mark.parametrize(
    "config, expected",
    [
        ({"model_type": "longformer", "max_position_embeddings": 130, "pad_token_id": 3}, 126),
        ({"model_type": "longformer", "max_position_embeddings": 130, "pad_token_id": 0}, 129),
        ({"model_type": "longformer", "max_position_embeddings": 130}, 128),
        ({"model_type": "longformer"}, 510),
        # position_period: one table serves any length.
        ({"model_type": "longformer", "max_position_embeddings": 130, "position_period": 128}, 600),
        # The files of another model: what they say about the tokenizer, to convert it, say.
        ({"model_type": "roberta", "max_position_embeddings": 130}, 600),
    ],
)
def test_length_rule(directory, config, expected):
    write(directory, "config.json", **config)
    write(directory, "tokenizer_config.json", model_max_length=600)
    assert LongformerTokenizer.from_pretrained(directory).model_max_length == expected


def test_length_without_a_model_is_unlimited():
    assert LongformerTokenizer(VOCAB, MERGES).model_max_length > 1e20


@pytest.mark.parametrize(
    "vocab, merges, message",
    [
        ("none.json", MERGES, "vocab_file=.*none.json' is no file"),
        (VOCAB, "none.txt", "merges_file=.*none.txt' is no file"),
        (VOCAB, None, "merges_file is missing"),
        (None, MERGES, "vocab_file is missing"),
        (None, None, "vocab_file is missing: give vocab_file and merges_file, or tokenizer_file"),
        (MERGES, MERGES, "vocab_file=.* is not JSON"),
        (VOCAB, VOCAB, "merges_file=.*, line 1: a merge is two tokens"),
        (["a"], MERGES, "vocab_file must hold an object"),
        ({}, MERGES, "vocab_file must hold an object"),
        ({"a": "0"}, [], "vocab_file must give every token an id"),
        ({"a": 0, "b": 0}, [], "vocab_file must give every token an id"),
        ({"a": 0, "b": 1}, ["a b"], "merges_file: 'ab' of the merge 'a b' is not in vocab_file"),
        ({"a": 0, "b": 1}, ["a b c"], "merges_file, line 1: a merge is two tokens"),
        ({"a": 0, "b": 1}, [("a", "b", "c")], "merges_file, line 1"),
    ],
)
def test_missing_or_corrupt_vocabularies_are_named(vocab, merges, message):
    with pytest.raises(ValueError, match=message):
        LongformerTokenizer(vocab, merges)


def test_binary_and_truncated_files_are_named(directory):
    (directory / "merges.txt").write_bytes(b"\x80\x81\xff\x00" * 50)
    with pytest.raises(ValueError, match=r"merges_file=.* is not UTF-8 text"):
        LongformerTokenizer.from_pretrained(directory)
    (directory / "merges.txt").unlink()
    with pytest.raises(ValueError, match=r"merges_file is missing in"):
        LongformerTokenizer.from_pretrained(directory)
    shutil.copy(MERGES, directory)
    (directory / "vocab.json").write_text(VOCAB.read_text()[:1000])
    with pytest.raises(ValueError, match=r"vocab_file=.* is not JSON"):
        LongformerTokenizer.from_pretrained(directory)
    for name, argument in (("tokenizer.json", "tokenizer_file"), ("tokenizer_config.json", "tokenizer_config.json")):
        (directory / name).write_text("{")
        with pytest.raises(ValueError, match=f"{argument}.* is not JSON"):
            LongformerTokenizer.from_pretrained(directory)
        (directory / name).unlink()
    (directory / "tokenizer.json").write_text('{"added_tokens": [], "model": {"type": "BPE"}}')
    with pytest.raises(ValueError, match=r"tokenizer_file=.* is not a tokenizer.json"):
        LongformerTokenizer.from_pretrained(directory)


def test_other_kinds_of_tokenizer_are_refused(tmp_path):
    path = str(tmp_path / "tokenizer.json")
    BertTokenizer(vocab={"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "[MASK]": 4}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"tokenizer_file=.* holds a WordPiece model"):
        LongformerTokenizer(tokenizer_file=path)
    with pytest.raises(ValueError, match=r"no ByteLevel pre-tokenizer"):
        LongformerTokenizer(tokenizer_object=Tokenizer(models.BPE()))
    with pytest.raises(ValueError, match=r"vocab and vocab_file are two names"):
        LongformerTokenizer(VOCAB, MERGES, vocab={"a": 0})
    with pytest.raises(ValueError, match=r"errors='strict'"):
        LongformerTokenizer(VOCAB, MERGES, errors="strict")


def test_errors_survive_without_protobuf(directory):
    """transformers replaces an error of a tokenizer's __init__ by one about protobuf where that is not installed."""
    (directory / "merges.txt").write_text("#version: 0.2\na b c\n")
    code = (
        "import sys; sys.modules['google.protobuf'] = None\n"
        "import transformers.tokenization_utils_base as base; base.is_protobuf_available = lambda: False\n"
        "from longspan.models.longformer.tokenization import LongformerTokenizer\n"
        f"LongformerTokenizer.from_pretrained({str(directory)!r})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ValueError: merges_file=" in result.stderr and "ImportError" not in result.stderr
