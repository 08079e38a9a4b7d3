"""Hyperpartisan's XML: texts, labels beside them, faults with their places."""

import lzma

import pytest

from longspan.tasks.classify import Classify
from longspan.tasks.examples import BadRow, DataError
from tests._support import peak_mib
from tests.models.tokenizer_texts import DATA

FOLDER = DATA / "hyperpartisan"

ARTICLES = """<?xml version="1.0" encoding="UTF-8"?><articles>
  <article id="01" published-at="2017-09-10" title="A &amp; B">
Lead in   <a href="x">a link</a>, more. <p>First <q>quoted</q>
 line.</p>tail <p></p><p>Last é.</p></article>
  <article id="02" title=""><p>Second.</p></article>
</articles>"""
TRUTH = """<?xml version="1.0" ?><articles>
<article hyperpartisan="true" id="01" labeled-by="article"/><article hyperpartisan="false" id="02"/></articles>"""
TEXTS = ["A & B\nLead in a link, more.\nFirst quoted line.\ntail\nLast é.", "Second."]


def write(folder, articles=ARTICLES, truth=TRUTH):
    (folder / "articles-x.xml").write_text(articles, encoding="utf-8")
    if truth:
        (folder / "ground-truth-x.xml.xz").write_bytes(lzma.compress(truth.encode()))
    return str(folder / "articles-x.xml")


def test_articles_and_their_labels(tmp_path):
    file = write(tmp_path)
    for path in (file, str(tmp_path)):
        for layout in (None, "hyperpartisan"):
            found = list(Classify().read(path, layout))
            assert [(e.id, e.text, e.label) for e in found] == [("01", TEXTS[0], "true"), ("02", TEXTS[1], "false")]
            assert str(found[1].source) == f"{file}:2"


def test_without_a_ground_truth_labels_are_unknown(tmp_path):
    assert [e.label for e in Classify().read(write(tmp_path, truth=None))] == [None, None]


def test_faults_of_articles_stay_in_their_places(tmp_path):
    inside = '<article/><article id="9"><p>a</p></article><article id="01"> </article><article id="02">b</article>'
    articles = f"<articles>{inside}</articles>"
    found = list(Classify().read(write(tmp_path, articles)))
    assert [row.reason for row in found[:3]] == [
        "the article has no id",
        f"{tmp_path}/ground-truth-x.xml.xz says nothing of the article '9'",
        "the text is empty",
    ]
    assert [row.source.line for row in found] == [1, 2, 3, 4]
    assert found[3].text == "b"


@pytest.mark.parametrize(
    ("articles", "truth", "message"),
    [
        ("<articles>\n<article id='01'>a & b</article></articles>", TRUTH, r"articles-x\.xml:2: column 21: not XML"),
        (ARTICLES[:200], TRUTH, r"articles-x\.xml:\d+: column \d+: not XML"),
        ("", TRUTH, r"articles-x\.xml:1: column 1: not XML: no element found"),
        (ARTICLES, '<a><article id="01" hyperpartisan="maybe"/></a>', r"ground-truth-x\.xml\.xz:1: .*true or false"),
    ],
)
def test_faults_of_files_are_errors(tmp_path, articles, truth, message):
    with pytest.raises(DataError, match=message):
        list(Classify().read(write(tmp_path, articles, truth)))


def test_a_folder_needs_one_file_of_articles(tmp_path):
    with pytest.raises(DataError, match=r"one file articles-.* is wanted, there are: none"):
        list(Classify().read(str(tmp_path), "hyperpartisan"))
    write(tmp_path)
    (tmp_path / "articles-y.xml").write_text(ARTICLES)
    with pytest.raises(DataError, match=r"articles-x\.xml, .*articles-y\.xml"):
        list(Classify().read(str(tmp_path)))


def test_memory_is_flat(tmp_path):
    article = '<article id="{}"><p>' + "a few words " * 500 + "</p></article>\n"
    file = write(tmp_path, "<articles>" + "".join(article.format(i) for i in range(2000)) + "</articles>", None)
    setup = "from longspan.tasks.layouts.hyperpartisan import read_hyperpartisan"
    assert peak_mib(setup, f"for row in read_hyperpartisan({file!r}): pass")[0] < 10


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}; set LONGSPAN_DATA to the data folder")
def test_the_published_files_are_read_whole():
    found = list(Classify().read(str(FOLDER)))
    assert not [row for row in found if isinstance(row, BadRow)]
    labels = [example.label for example in found]
    assert (labels.count("true"), labels.count("false")) == (238, 407)
    lengths = sorted(len(example.text.split()) for example in found)
    assert 380 < lengths[len(lengths) // 2] < 450
    assert found[0].text.startswith("Kucinich: Reclaiming the money power\n")
