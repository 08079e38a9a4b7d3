"""Two layers of base size read 1,048,576 tokens in one pass: a quarter of an hour, so not part of ``all``."""

from __future__ import annotations

from ..models import BIGBIRD, LONGFORMER, NYSTROM, THEIR_LONGFORMER, THEIR_NYSTROM
from ..results import Run
from .length import CHECKED, GIGABYTES, LAYERS, once, series, single

TITLE = "A million tokens in one pass"
TOKENS = 1_048_576
PEERS = (THEIR_LONGFORMER, BIGBIRD, THEIR_NYSTROM)
"""Those whose cost is linear; the others would need a day."""
MINUTES = 20


def fill(run: Run) -> None:
    """Both families, and the peers that could get there."""
    tokens = 2048 if run.quick else TOKENS
    rows = [
        single(run, name, f"million.{key}", tokens, LAYERS, seconds=3600)
        for name, key in ((LONGFORMER, "longformer"), (NYSTROM, "nystromformer"))
    ]
    rows += [once(run, name, tokens, MINUTES * 60, run.quick) for name in PEERS]
    run.groups.append(series(f"{LAYERS} layers of base size, one pass", rows))
    run.notes.append(
        f"One pass in a fresh process, of at most {GIGABYTES:g} GB and, for a peer, {MINUTES} minutes. More layers "
        "need more time, but no more memory above the weights. " + CHECKED
    )
