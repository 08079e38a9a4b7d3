"""Texts and vocabularies for the tokenizer tests: some here, more where the data folder is."""

import json
import lzma
import os
from functools import cache
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LONGSPAN_DATA", ROOT.parent / "shared" / "data"))
SMALL_BPE = Path(__file__).parent / "data" / "roberta-small"
FULL_BPE = DATA / "tokenizer-fixtures" / "roberta-base"
SPIECE = DATA / "tokenizer-fixtures" / "albert-30k-clean" / "30k-clean.model"

needs_data = pytest.mark.skipif(
    not FULL_BPE.is_dir(), reason=f"no tokenizer-fixtures in {DATA}; set LONGSPAN_DATA to the data folder"
)
needs_spiece = pytest.mark.skipif(
    not SPIECE.is_file(), reason=f"no tokenizer-fixtures in {DATA}; set LONGSPAN_DATA to the data folder"
)

ODD_TEXTS = {
    "empty": "",
    "spaces": "   \t \n\n  ",
    "leading space": "  Hello  world ",
    "contractions": "It's they'll I'd we've can't -- 'quoted' \"double\"",
    "numbers": "Section 12.3(b)(iv): $1,234,567.89 on 2014-03-31 (10%)",
    "emoji": "\U0001f600 fine \U0001f468‍\U0001f469‍\U0001f467 \U0001f3f3️‍\U0001f308 \U0001f44d\U0001f3fd",
    "CJK": "長い文書を一度に読む。中文分词没有空格，한국어도 있다",
    "combining": "éè Ünïcödé ﬁne ﷺ नमस्ते",
    "right to left": "שלום עולם مرحبا بالعالم",
    "control": "a\x00b\x01\x1f\x7f\x85 \u00a0\u2028\u200b\ufeffz",
    "specials in text": "One </s> two <s> three <pad> four <unk> five <mask> six<mask>seven   <mask>.",
    "html": "<br /><br />a<b>&amp;</b> <script>alert(1)</script>",
    "lone surrogate": "before \ud800 after \udfff\ude00",
    "surrogate pair": "\ud83d\ude00",
}


def replaced(text: str) -> str:
    """The text with every surrogate code point as U+FFFD, by another way than the package's."""
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


@cache
def contracts() -> list[str]:
    with lzma.open(DATA / "cuad" / "full_contract_txt.jsonl.xz", "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"][:20_000] for line in islice(file, 0, 120, 10)]


@cache
def reviews() -> list[str]:
    with lzma.open(DATA / "imdb" / "test.jsonl.xz", "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in islice(file, 150)]
