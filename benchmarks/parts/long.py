"""A whole base-size model reads 131,072 tokens in one pass."""

from __future__ import annotations

from ..models import LONGFORMER, NYSTROM
from ..results import Run
from ..sizes import sizes
from .length import CHECKED, series, single

TITLE = "A whole base-size model reads 131,072 tokens in one pass"
TOKENS = 131_072


def fill(run: Run) -> None:
    """Both families, all layers, each after passes of 4,096 tokens that its cost per token is compared with."""
    tokens = 1024 if run.quick else TOKENS
    layers = sizes(run.quick).layers
    rows = [
        single(run, name, f"long.{key}", tokens, layers, seconds=1200)
        for name, key in ((LONGFORMER, "longformer"), (NYSTROM, "nystromformer"))
    ]
    run.groups.append(series(f"{layers} layers, one pass", rows))
    run.notes.append(
        "One pass; the spread is that of the passes of 4,096 tokens before it, in the same process. " + CHECKED
    )
