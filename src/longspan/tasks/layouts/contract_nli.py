"""ContractNLI: whether a contract entails, contradicts or does not mention each of seventeen hypotheses.

Koreeda and Manning 2021, https://arxiv.org/abs/2110.01799. One JSON document with ``documents`` (``id``, ``text`` and
``annotation_sets``) and ``labels`` (the hypotheses). The evidence spans are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from longspan.tasks.examples import BadRow, DataError, Source, TextExample
from longspan.tasks.files import open_lines, read_json

CHOICES = ("Contradiction", "Entailment", "NotMentioned")
_FIRST_KEY = re.compile(r'\s*\{?\s*"(documents|labels)"\s*:')


def read_contract_nli(path: str) -> Iterator[TextExample | BadRow]:
    """An example for each hypothesis of each contract: the hypothesis, then the whole contract.

    The id is ``<document>/<hypothesis>``, for example "3/nda-11"; its place is the number of the document.

    Raises:
        DataError: it is not JSON of this layout.
        OSError: it cannot be opened.
    """
    content = read_json(path)
    try:
        documents = list(content["documents"])
        hypotheses = {key: str(value["hypothesis"]) for key, value in content["labels"].items()}
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{path}: ContractNLI's layout is an object with 'documents' and 'labels'") from None
    for number, document in enumerate(documents, 1):
        source = Source(path, number)
        for key, hypothesis in hypotheses.items():
            try:
                label = _choice(document, key)
                yield TextExample(f"{document['id']}/{key}", source, hypothesis, document["text"], label)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                yield BadRow(source, f"document {number}, hypothesis {key}: {_reason(error)}")


def holds_contract_nli(path: str) -> bool:
    """Whether a JSON file begins like one of ContractNLI's."""
    start = ""
    for row in open_lines(path):
        if isinstance(row, BadRow):
            return False
        start += row[1]
        if len(start) > 1:
            break
    return _FIRST_KEY.match(start[:200]) is not None


def _choice(document: Any, key: str) -> str | None:
    if not isinstance(document["text"], str):
        raise ValueError("'text' must be text")
    sets = document.get("annotation_sets")
    if not sets:
        return None
    choice = sets[0]["annotations"][key]["choice"]
    if choice not in CHOICES:
        raise ValueError(f"the choice must be one of {', '.join(CHOICES)}, this is {choice!r}")
    return str(choice)


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
