"""The page of tagged documents: what it holds, and that no text can become markup."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.predict.html import TaggedDocument, render_page
from longspan.tasks.passages import Passage

VOID = {"meta", "input"}


class Reader(HTMLParser):
    """Reads a page as a browser would: the tree must close, and the text and marks of the document come back."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.marks, self.ids, self.links, self.tags = [], "", [], [], [], set()
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        assert not any(name.startswith("on") for name in attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if "href" in attrs:
            self.links.append(attrs["href"])
        if tag not in VOID:
            self.open.append((tag, attrs))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if any(a.get("class") == "text" for _, a in self.open):
            kinds = sorted(a["title"].rsplit(",", 1)[0] for t, a in self.open if t == "mark")
            self.marks.append((len(self.text), len(self.text) + len(data), kinds))
            self.text += data


def page_of(text, *passages, name="contract.txt"):
    return Reader(render_page([TaggedDocument(name, text, passages)]))


def test_apart():
    page = page_of("abcdefgh", Passage("A", 1, 3), Passage("B", 5, 6))
    assert page.text == "abcdefgh"
    assert page.marks == [(0, 1, []), (1, 3, ["A"]), (3, 5, []), (5, 6, ["B"]), (6, 8, [])]


def test_nested():
    page = page_of("abcdefgh", Passage("A", 1, 7), Passage("B", 3, 5))
    assert page.marks == [(0, 1, []), (1, 3, ["A"]), (3, 5, ["A", "B"]), (5, 7, ["A"]), (7, 8, [])]


def test_crossing():
    page = page_of("abcdefgh", Passage("A", 0, 5), Passage("B", 3, 8))
    assert page.marks == [(0, 3, ["A"]), (3, 5, ["A", "B"]), (5, 8, ["B"])]


def test_the_same_passage_twice():
    page = page_of("abcd", Passage("A", 1, 3), Passage("B", 1, 3))
    assert page.marks == [(0, 1, []), (1, 3, ["A", "B"]), (3, 4, [])]


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40).flatmap(
        lambda text: st.tuples(
            st.just(text),
            st.lists(st.tuples(st.sampled_from("AB<"), *2 * [st.integers(0, len(text) - 1)]), max_size=6),
        )
    )
)
def test_any_text_and_any_passages_come_back(case):
    text, drawn = case
    passages = [Passage(c, min(a, b), max(a, b) + 1) for c, a, b in drawn]
    page = page_of(text, *passages)
    assert page.text == text
    for begin, end, kinds in page.marks:
        for i in range(begin, end):
            assert kinds == sorted(p.category for p in passages if p.start <= i < p.end)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_rows_and_passages_link_to_each_other():
    page = page_of("abcdefgh", Passage("A", 1, 3), Passage("B", 5, 6))
    assert {"d0r0", "d0r1", "d0p0", "d0p1"} <= set(page.ids)
    assert {"#d0r0", "#d0r1", "#d0p0", "#d0p1"} <= set(page.links)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "</div></section>", "&lt;b&gt; &amp;", '"><img src=x onerror=x>', "<!-- x"]
)
def test_markup_in_text_category_and_name_stays_text(text):
    page = page_of(text, Passage(text, 0, len(text)), name=text)
    assert page.text == text
    assert not page.tags & {"script", "img", "b"}


def test_characters_that_html_cannot_hold_are_replaced_and_the_rest_stays():
    text = "a\x00\x1b\ud800b\tc\nd"
    page = render_page([TaggedDocument("x", text, [])])
    assert Reader(page).text == "a\ufffd\ufffd\ufffdb\tc\nd"
    page.encode("utf-8")


def test_page_loads_nothing_and_holds_no_script():
    raw = render_page([TaggedDocument("x", "abc", [Passage("A", 0, 1)])], credit="CC BY 4.0 <x>")
    assert "default-src 'none'" in raw and "<script" not in raw
    assert not any(word in raw for word in ("http://", "https://", "@import", "url("))
    assert "CC BY 4.0 &lt;x&gt;" in raw


def test_several_documents_have_a_list_and_anchors_of_their_own():
    documents = [TaggedDocument(n, "abc", [Passage("A", 0, 1)]) for n in ("one", "two")]
    page = Reader(render_page(documents))
    assert {"#d0", "#d1"} <= set(page.links)
    assert len(page.ids) == len(set(page.ids))


def test_nothing_found():
    assert "Nothing was found" in render_page([TaggedDocument("x", "", [])])


def test_passage_outside_the_text_is_an_error():
    with pytest.raises(ValueError, match=r"'x': A at 2 to 9 is not inside the text, which has 3 characters"):
        render_page([TaggedDocument("x", "abc", [Passage("A", 2, 9)])])
