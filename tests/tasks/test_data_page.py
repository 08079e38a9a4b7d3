"""What docs/data.md shows of each format is read as it says."""

import re
from pathlib import Path

import pytest

from longspan.tasks.examples import BadRow
from longspan.tasks.registry import make_task

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def block(heading, number=0):
    """A fenced block below a heading."""
    section = re.split(rf"^#+ {heading}$", PAGE, flags=re.M)[1].split("\n#")[0]
    return re.findall(r"^```\w*\n(.*?)^```$", section, flags=re.M | re.S)[number]


def read(folder, name, text, task, layout=None):
    (folder / name).write_text(text, encoding="utf-8")
    rows = list(make_task(task).read(str(folder / name), layout))
    assert rows and not [row for row in rows if isinstance(row, BadRow)], rows
    return rows


def test_classify(tmp_path):
    labels = [row.label for row in read(tmp_path, "a.jsonl", block("Classify"), "classify")]
    assert labels == ["pos", ("housing", "contracts"), 3.5]
    (row,) = read(tmp_path, "a.csv", block("Classify", 1), "classify")
    assert (row.text, row.label) == ("A fine film, and\na long one.", "pos")


def test_glue(tmp_path):
    (row,) = read(tmp_path, "train.tsv", block("GLUE"), "classify")
    assert (row.text_pair, row.label) == ("The street is wet.", "entailment")


def test_hyperpartisan(tmp_path):
    article, truth = block("Hyperpartisan").splitlines()
    (tmp_path / "ground-truth-a.xml").write_text(f"<articles>{truth}</articles>")
    (row,) = read(tmp_path, "articles-a.xml", f"<articles>{article}</articles>", "classify")
    assert (row.text, row.label) == ("A title\nA paragraph.", "true")


def test_contract_nli(tmp_path):
    (row,) = read(tmp_path, "a.json", block("ContractNLI"), "classify")
    assert (row.id, row.label) == ("3/nda-11", "Entailment")


def test_choose(tmp_path):
    for name, heading, number in (("a.jsonl", "Choose", 0), ("b.csv", "SWAG and CommonsenseQA", 0)):
        (row,) = read(tmp_path, name, block(heading, number), "choose")
        assert row.label == 0
    rows = read(tmp_path, "c.jsonl", block("SWAG and CommonsenseQA", 1), "choose")
    assert [(row.choices, row.label) for row in rows] == [(("house", "sea"), 0)] * 2


@pytest.mark.parametrize(("name", "number"), [("a.conll", 0), ("a.jsonl", 1)])
def test_tag(tmp_path, name, number):
    rows = read(tmp_path, name, block("Tag", number), "tag")
    assert {row.tags[-1] for row in rows} == {"B-location"}
