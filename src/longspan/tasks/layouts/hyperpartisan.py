"""Hyperpartisan news, SemEval-2019 task 4: articles in one XML file, their labels in another beside it.

Kiesel et al. 2019, https://aclanthology.org/S19-2145; https://zenodo.org/records/1489920. An ``article`` has an ``id``,
a ``title``, and text in paragraphs ``p``; the ground truth has ``hyperpartisan="true"`` or ``"false"`` by ``id``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, iterparse

from longspan.tasks.examples import BadRow, DataError, Source, TextExample
from longspan.tasks.files import ARCHIVE_FAULTS, broken_archive, open_bytes

_PACKED = ("", ".gz", ".bz2", ".xz")
_ARTICLES, _TRUTH = "articles-", "ground-truth-"


def read_hyperpartisan(path: str) -> Iterator[TextExample | BadRow]:
    """The articles in order, each as its title and its paragraphs on lines of their own; labels "true" and "false".

    Args:
        path: the file of the articles (``articles-*.xml``), or a folder that holds one. The labels are those of
            ``ground-truth-*.xml`` beside it; without that file they are unknown.

    Raises:
        DataError: no such file in the folder, or several; a file that is not XML, with line and column.
        OSError: it cannot be opened.
    """
    articles = _find_articles(path)
    truth = _find_truth(articles)
    labels = _read_truth(truth) if truth else {}
    for number, article in enumerate(_read_articles(articles), 1):
        source = Source(articles, number)
        name = article.get("id")
        if name is None:
            yield BadRow(source, "the article has no id")
        elif truth and name not in labels:
            yield BadRow(source, f"{truth} says nothing of the article {name!r}")
        else:
            yield TextExample(name, source, _text_of(article), label=labels.get(name))


def holds_hyperpartisan(path: str) -> bool:
    """Whether a path is what :func:`read_hyperpartisan` reads."""
    file = Path(path)
    if file.is_dir():
        return any(file.glob(f"{_ARTICLES}*.xml*"))
    return any(file.name.lower().endswith(".xml" + packed) for packed in _PACKED)


def _find_articles(path: str) -> str:
    if not Path(path).is_dir():
        return path
    found = sorted(str(file) for file in Path(path).glob(f"{_ARTICLES}*.xml*"))
    if len(found) != 1:
        raise DataError(f"{path}: one file {_ARTICLES}*.xml is wanted, there are: {', '.join(found) or 'none'}")
    return found[0]


def _find_truth(articles: str) -> str | None:
    file = Path(articles)
    if not file.name.startswith(_ARTICLES):
        return None
    name = _TRUTH + file.name.removeprefix(_ARTICLES)
    for packed in _PACKED[1:]:
        name = name.removesuffix(packed)
    return next((str(file.parent / (name + p)) for p in _PACKED if (file.parent / (name + p)).is_file()), None)


def _read_truth(path: str) -> dict[str, str]:
    labels = {}
    for number, article in enumerate(_read_articles(path), 1):
        name, label = article.get("id"), article.get("hyperpartisan")
        if name is None or label not in ("true", "false"):
            raise DataError(f"{Source(path, number)}: an article must have an id and hyperpartisan true or false")
        labels[name] = label
    return labels


def _read_articles(path: str) -> Iterator[Element]:
    """Each ``article``, which is emptied when the next one is asked for."""
    root: Element | None = None
    with open_bytes(path) as file:
        try:
            for event, element in iterparse(file, events=("start", "end")):
                root = element if root is None else root
                if event == "end" and element.tag == "article":
                    yield element
                    root.clear()
        except ParseError as error:
            line, column = error.position
            raise DataError(f"{path}:{line}: column {column + 1}: not XML: {error}") from None
        except ARCHIVE_FAULTS as error:
            raise broken_archive(path, None, error) from None


def _text_of(article: Element) -> str:
    lines = [article.get("title") or "", article.text or ""]
    for child in article:
        inside = "".join(child.itertext())
        if child.tag == "p":
            lines += [inside, child.tail or ""]
        else:
            lines[-1] += inside + (child.tail or "")
    return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)
