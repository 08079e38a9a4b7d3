"""A self-contained HTML page of tagged documents: the text with its passages highlighted, and a table of them.

The page holds no script and loads nothing; all text is escaped. Passages may nest or cross: the text is cut at every
passage border, and each piece carries one mark for every passage that covers it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import pairwise

from longspan.tasks.passages import Passage

# HTML has no way to write these, escaped or not; tab, line feed, form feed and carriage return are text.
_NO_HTML = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_EXCERPT = 160


@dataclass(frozen=True)
class TaggedDocument:
    """One document of a page.

    name: what to call it. text: the text as read. passages: offsets into it. facts: short remarks for the head of the
    page, such as "12,345 tokens".
    """

    name: str
    text: str
    passages: Sequence[Passage]
    facts: Sequence[str] = field(default_factory=tuple)


def render_page(documents: Sequence[TaggedDocument], title: str = "Tagged passages", credit: str = "") -> str:
    """Return the page of ``documents`` as HTML text (to be written as UTF-8).

    Args:
        documents: what to show, in this order.
        title: the page's title.
        credit: a line of plain text at the foot, for the source and licence of a document.

    Raises:
        ValueError: a passage does not lie inside its document's text.
    """
    categories = list(dict.fromkeys(p.category for d in documents for p in _in_order(d)))
    sections = "".join(_section(d, number, categories) for number, d in enumerate(documents))
    contents = ""
    if len(documents) > 1:
        entries = "".join(
            f'<li><a href="#d{number}">{escape(d.name)}</a> <small>{len(d.passages)}</small></li>'
            for number, d in enumerate(documents)
        )
        contents = f'<nav aria-label="Documents"><ol>{entries}</ol></nav>'
    foot = f"<footer>{escape(credit)}</footer>" if credit else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{_style(categories)}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>{_legend(categories)}{contents}</header>\n<main>\n{sections}</main>\n{foot}\n"
        "</body>\n</html>\n"
    )


def escape(text: str) -> str:
    """Return ``text`` with everything escaped that HTML could read as markup; impossible characters become U+FFFD."""
    return html.escape(_NO_HTML.sub("\ufffd", text))


def _in_order(document: TaggedDocument) -> list[Passage]:
    """Passages by where they begin; of two that begin together the longer first, so that marks nest where they can."""
    for p in document.passages:
        if not 0 <= p.start < p.end <= len(document.text):
            raise ValueError(
                f"passages of {document.name!r}: {p.category} at {p.start} to {p.end} is not inside the text, "
                f"which has {len(document.text)} characters"
            )
    return sorted(document.passages, key=lambda p: (p.start, -p.end, p.category))


def _section(document: TaggedDocument, number: int, categories: Sequence[str]) -> str:
    passages = _in_order(document)
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in [*document.facts, _count(len(passages), "passage")])
    return (
        f'<section id="d{number}">\n<h2>{escape(document.name)}</h2>\n<ul class="facts">{facts}</ul>\n'
        f'<div class="columns">\n<div class="found">{_table(document.text, passages, number, categories)}</div>\n'
        f'<div class="text">{_marked(document.text, passages, number, categories)}</div>\n</div>\n</section>\n'
    )


def _table(text: str, passages: Sequence[Passage], number: int, categories: Sequence[str]) -> str:
    if not passages:
        return '<p class="none">Nothing was found in this document.</p>'
    rows = []
    for index, p in enumerate(passages):
        percent = f"{100 * p.score:.0f}"
        rows.append(
            f'<tr class="c{categories.index(p.category)}" id="d{number}r{index}">'
            f'<th scope="row"><i></i>{escape(p.category)}</th>'
            f'<td class="passage"><a href="#d{number}p{index}">{escape(_excerpt(text[p.start : p.end]))}</a></td>'
            f'<td class="score"><span class="bar" style="--v:{percent}%"></span>{percent}&#8239;%'
            f'<span class="where">{p.start:,}&#8211;{p.end:,}</span></td></tr>\n'
        )
    return (
        "<table>\n<thead><tr><th>Category</th><th>Passage</th><th>Confidence, characters</th></tr></thead>\n"
        f"<tbody>\n{''.join(rows)}</tbody>\n</table>"
    )


def _marked(text: str, passages: Sequence[Passage], number: int, categories: Sequence[str]) -> str:
    """The whole text; a piece between two borders stands inside one <mark> for each passage that covers it."""
    borders = sorted({0, len(text), *(p.start for p in passages), *(p.end for p in passages)})
    out = []
    covering: list[int] = []
    following = 0
    for begin, end in pairwise(borders):
        covering = [i for i in covering if passages[i].end > begin]
        while following < len(passages) and passages[following].start == begin:
            covering.append(following)
            following += 1
        opening = ""
        for i in covering:
            p = passages[i]
            kind = f"c{categories.index(p.category)}"
            first = p.start == begin
            anchor = f' id="d{number}p{i}"' if first else ""
            opening += f'<mark class="{kind}"{anchor} title="{escape(p.category)}, {100 * p.score:.0f} %">'
            if first:
                opening += f'<a class="label" href="#d{number}r{i}" data-label="{escape(p.category)}"></a>'
        out.append(f"{opening}{escape(text[begin:end])}{'</mark>' * len(covering)}")
    return "".join(out)


def _legend(categories: Sequence[str]) -> str:
    """Check boxes, one a category; the style sheet hides what is not ticked."""
    if not categories:
        return ""
    boxes = "".join(
        f'<label class="c{i}"><input type="checkbox" id="show{i}" checked><i></i>{escape(name)}</label>'
        for i, name in enumerate(categories)
    )
    return f'<fieldset class="legend"><legend>Show</legend>{boxes}</fieldset>'


def _style(categories: Sequence[str]) -> str:
    # Neighbours in the list get distant hues: steps of 5/12 of the circle visit twelve of them before one returns.
    colours = "".join(
        f".c{i}{{--h:{(150 * i + 15 * (i // 12)) % 360}}}\n"
        f"body:has(#show{i}:not(:checked)) :is(mark.c{i}){{background:none;box-shadow:none}}\n"
        f"body:has(#show{i}:not(:checked)) :is(mark.c{i}>.label,tr.c{i}){{display:none}}\n"
        for i in range(len(categories))
    )
    return (files("longspan.predict") / "page.css").read_text(encoding="utf-8") + colours


def _excerpt(passage: str) -> str:
    words = " ".join(passage.split())
    return words if len(words) <= _EXCERPT else words[: _EXCERPT - 1].rsplit(" ", 1)[0] + "…"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
