"""Two layers of base size read 1,048,576 tokens in one pass: a quarter of an hour, so not part of ``all``."""

from __future__ import annotations

from ..models import LONGFORMER, NYSTROM
from ..results import Run
from .length import LAYERS, series, single

TITLE = "A million tokens in one pass"
TOKENS = 1_048_576


def run(run: Run) -> None:
    """Both families."""
    tokens = 2048 if run.quick else TOKENS
    rows = [
        single(run, name, f"million.{key}", tokens, LAYERS, seconds=3600)
        for name, key in ((LONGFORMER, "longformer"), (NYSTROM, "nystromformer"))
    ]
    run.groups.append(series(f"{LAYERS} layers of base size, one pass", rows))
    run.notes.append("One pass in a fresh process; memory needs no more with more layers.")
