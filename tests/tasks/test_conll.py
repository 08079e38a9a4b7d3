"""Tagged words: CoNLL files, JSON rows, and entities as seqeval reads them."""

import json
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.tasks.conll import find_entities, from_row, read_conll, read_tagged
from longspan.tasks.examples import BadRow, DataError, Source, TaggedExample

DATA = Path(os.environ.get("LONGSPAN_DATA", Path(__file__).parents[3] / "shared" / "data"))
TWO_COLUMNS = "Empire\tB-location\nState\tI-location\n#hash\tO\n\t\n\nü\tO\n"
FOUR_COLUMNS = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

-DOCSTART- -X- -X- O

Peter NNP B-NP I-PER
"""


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_two_columns(tmp_path):
    file = write(tmp_path / "a.conll", TWO_COLUMNS)
    first, second = read_tagged(file)
    assert first == TaggedExample(
        f"{file}:1",
        Source(file, 1),
        "Empire State #hash",
        ((0, 6), (7, 12), (13, 18)),
        ("B-location", "I-location", "O"),
    )
    assert (second.id, second.text, second.tags) == (f"{file}:6", "ü", ("O",))


def test_four_columns(tmp_path):
    found = list(read_tagged(write(tmp_path / "eng.train", FOUR_COLUMNS)))
    assert [(e.text, e.tags) for e in found] == [("EU rejects", ("B-ORG", "O")), ("Peter", ("I-PER",))]


def test_words_alone_have_no_tags(tmp_path):
    (only,) = read_tagged(write(tmp_path / "a.txt", "one\ntwo\n"))
    assert only.text == "one two" and only.tags is None


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a\tO\nb\n", 2, "the line has 1 columns and those before it 2: 'b'"),
        ("a\tO\nb\tx\tO\n", 2, "the line has 3 columns and those before it 2: 'b\\tx\\tO'"),
        ("a\tperson\n", 1, "a tag is O, or B-, I-, E- or S- and a kind of entity, got 'person'"),
        ("a\tO\nb\tB-\n", 2, "a tag is O, or B-, I-, E- or S- and a kind of entity, got 'B-'"),
        ("a\tO\n\x00\tO\n", 2, "null"),
        ("a\t\tO\n\tx\tO\n", 2, "the line has 2 columns and those before it 3: '\\tx\\tO'"),
    ],
)
def test_a_bad_line_spoils_its_sentence_only(tmp_path, text, line, reason):
    file = write(tmp_path / "a.conll", f"{text}c\tO\n\nd\tO\n" if text[1:3] != "\t\t" else f"{text}\nd\t\tO\n")
    bad, good = read_conll(file)
    assert isinstance(bad, BadRow) and bad.source == Source(file, line) and reason in bad.reason
    assert good.text == "d"


def test_odd_white_space_can_be_a_word(tmp_path):
    (only,) = read_tagged(write(tmp_path / "a.conll", "a\tO\n\u00a0\tB-x\n\u2028\tI-x\n"))
    assert only.text == "a \u00a0 \u2028" and only.tags == ("O", "B-x", "I-x")


def test_rows_of_words(tmp_path):
    rows = [
        {"tokens": ["New", "York"], "tags": ["B-place", "I-place"], "id": 3},
        {"tokens": ["New"], "ner_tags": ["O"]},
        {"tokens": ["New"]},
        {"tokens": ["New"], "tags": []},
        {"tokens": ["New", ""], "tags": ["O", "O"]},
        {"tokens": ["New"], "tags": ["X"]},
        {"tokens": "New"},
        {"tokens": ["New"], "tags": [1]},
        {"words": ["New"]},
    ]
    found = list(read_tagged(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))))
    assert (found[0].id, found[0].text, found[0].tags) == ("3", "New York", ("B-place", "I-place"))
    assert found[1].tags == ("O",) and found[2].tags is None
    assert [row.reason for row in found[3:]] == [
        "1 tokens have 0 tags",
        "word 2 is empty",
        "a tag is O, or B-, I-, E- or S- and a kind of entity, got 'X'",
        "tokens must be a list of strings, got New",
        "tags must be a list of strings, got [1]",
        "a row needs tokens, a list of words, or text; it has words",
    ]
    assert found[8].source.line == 9


def row(text, spans):
    return from_row({"text": text, "spans": spans}, "x", Source("a", 1))


def words(example):
    return [example.text[a:b] for a, b in example.offsets]


def test_spans_become_tags():
    text = "In Berlin-Mitte, 20mg."
    found = row(text, [{"start": 17, "end": 19, "label": "dose"}, [3, 15, "place"]])
    assert words(found) == ["In", "Berlin", "-", "Mitte", ",", "20", "mg", "."]
    assert found.tags == ("O", "B-place", "I-place", "I-place", "O", "B-dose", "O", "O")
    assert words(row(text, [])) == ["In", "Berlin", "-", "Mitte", ",", "20mg", "."]
    assert row(text, []).tags == ("O",) * 7 and row(text, None).tags is None
    neighbours = row("a b", [[0, 1, "x"], [2, 3, "x"]])
    assert neighbours.tags == ("B-x", "B-x")
    assert row("a  b ", [[1, 5, "x"]]).tags == ("O", "B-x")


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ("a", "spans must be a list, got str"),
        ([[0, 1]], "a span must have start, end and label, got [0, 1]"),
        ([{"start": 0, "label": "x"}], "whole numbers as start and end"),
        ([[0, 1.0, "x"]], "whole numbers as start and end"),
        ([[0, True, "x"]], "whole numbers as start and end"),
        ([[0, 1, ""]], "and a label"),
        ([[2, 9, "x"]], "the span 2 to 9 (x) is not inside the text of 8 characters"),
        ([[2, 2, "x"]], "the span 2 to 2 (x) is not inside"),
        ([[3, 4, "x"]], "the span 3 to 4 (x) holds white space only"),
        ([{"start": 0, "end": 3, "label": "x", "text": "two"}], "the span 0 to 3 (x) is 'one' in the text, not 'two'"),
        ([[2, 7, "y"], [0, 3, "x"]], "the span at 2 (y) begins inside that from 0 to 3 (x)"),
    ],
)
def test_a_span_that_fits_nothing_is_named(spans, reason):
    bad = row("one two.", spans)
    assert isinstance(bad, BadRow) and reason in bad.reason


@given(st.text("ab1_ .,\n\u00a0\u0301é", max_size=40), st.lists(st.integers(0, 40), max_size=10, unique=True))
def test_spans_and_words_hold_the_same(text, edges):
    edges = sorted(edges)
    spans = [
        (a, b, "kind") for a, b in zip(edges[::2], edges[1::2], strict=False) if b <= len(text) and text[a:b].strip()
    ]
    found = row(text, spans)
    covered = [i for a, b in found.offsets for i in range(a, b)]
    assert covered == [i for i, c in enumerate(text) if not c.isspace()]
    assert [text[found.offsets[f][0] : found.offsets[e][1]] for _, f, e in find_entities(found.tags)] == [
        text[a:b].strip() for a, b, _ in spans
    ]


@given(st.lists(st.sampled_from(["O", *(f"{m}-{k}" for m in "BIES" for k in ("x", "y", "x-y"))]), max_size=12))
@settings(deadline=None)  # seqeval loads scikit-learn
def test_entities_are_those_of_seqeval(tags):
    sequence_labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    assert find_entities(tags) == sequence_labeling.get_entities(tags)


def test_what_cannot_be_read_is_named(tmp_path):
    file = write(tmp_path / "a.conll", TWO_COLUMNS)
    with pytest.raises(DataError, match=r"no layout 'iob' of tagged words; the layouts are conll, table"):
        list(read_tagged(file, "iob"))
    with pytest.raises(DataError, match="empty"):
        list(read_tagged(write(tmp_path / "b.conll", "")))
    with pytest.raises(FileNotFoundError):
        list(read_tagged(str(tmp_path / "c.conll")))
    # a tsv file is CoNLL, unless it is said to be a table
    tsv = write(tmp_path / "a.tsv", TWO_COLUMNS)
    assert len(list(read_tagged(tsv))) == 2
    with pytest.raises(DataError, match="column"):
        list(read_tagged(write(tmp_path / "d.tsv", "Empire\tEmpire\n"), "table"))


@pytest.mark.parametrize(
    ("name", "sentences"),
    [("wnut17train.conll", 3394), ("emerging.dev.conll", 1009), ("emerging.test.annotated", 1287)],
)
def test_wnut17(name, sentences, tmp_path):
    packed = DATA / "wnut17" / f"{name}.xz"
    if not packed.is_file():
        pytest.skip(f"needs {packed}; set LONGSPAN_DATA")
    found = list(read_tagged(str(packed)))
    assert len(found) == sentences and not any(isinstance(e, BadRow) for e in found)
    with lzma.open(packed, "rt", encoding="utf-8") as file:
        lines = [line.split("\t")[0].strip(" ") for line in file if line.strip()]
    assert [e.text[a:b] for e in found for a, b in e.offsets] == lines
    kinds = {tag[2:] for e in found for tag in e.tags if tag != "O"}
    assert kinds == {"corporation", "creative-work", "group", "location", "person", "product"}
