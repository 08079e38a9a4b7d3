"""Texts packed or not, and their parts."""

import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pytest

from longspan.charlm.texts import read_text, split_text
from longspan.tasks.examples import DataError

TEXT = bytes(range(256)) * 3


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_packed_or_not(pack, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(pack(TEXT))
    text = read_text(path)
    assert text.dtype == np.uint8 and text.tobytes() == TEXT


def test_a_zip_as_enwik8_comes(tmp_path):
    with zipfile.ZipFile(tmp_path / "enwik8.zip", "w") as archive:
        archive.writestr("enwik8", TEXT)
    assert read_text(tmp_path / "enwik8.zip").tobytes() == TEXT
    with zipfile.ZipFile(tmp_path / "enwik8.zip", "a") as archive:
        archive.writestr("readme", "b")
    with pytest.raises(DataError, match="an archive of 2 files"):
        read_text(tmp_path / "enwik8.zip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (gzip.compress(b""), "the file is empty"),
        (gzip.compress(TEXT)[:-20], "a broken archive"),
        (b"BZh9 nothing", "a broken archive"),
        (b"PK\x03\x04 nothing", "a broken archive"),
    ],
    ids=["nothing", "gzip of nothing", "gzip cut short", "bzip2", "zip"],  # bytes of gzip tell the time: no names
)
def test_files_that_cannot_be_used(content, message, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_text(path)
    assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "no")


def test_the_standard_split_of_enwik8_and_text8():
    text = np.broadcast_to(np.uint8(7), 100_000_000)
    assert {name: len(part) for name, part in split_text(text).items()} == {
        "train": 90_000_000,
        "validation": 5_000_000,
        "test": 5_000_000,
    }


def test_parts_follow_each_other():
    text = np.arange(200, dtype=np.uint8)
    parts = split_text(text, 0.1, 0.25)
    assert np.array_equal(np.concatenate([parts["train"], parts["validation"], parts["test"]]), text)
    assert len(parts["validation"]) == 20 and len(parts["test"]) == 50


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (0, 0.1, "validation must be a share between 0 and 1, got 0"),
        (0.1, 1.0, r"test must be a share between 0 and 1, got 1\.0"),
        (0.6, 0.5, "leave 0 for train"),
        (0.01, 0.5, "leave 1 for validation; at least 2"),
    ],
)
def test_splits_that_are_refused(validation, test, message):
    with pytest.raises(ValueError, match=message):
        split_text(np.zeros(100, np.uint8), validation, test)
