"""Whole models of base size reading short texts."""

from __future__ import annotations

from ..measure import Contender, ratios
from ..models import LONGFORMER, ROBERTA, THEIR_LONGFORMER, Reader, build, document, share_weights
from ..results import Run
from ..sizes import BASE, sizes

TITLE = "A base-size model reads a short text, forward"
LENGTHS = {False: (16, 128, 512, 1024), True: (16, 128)}  # with a global token?


def fill(run: Run) -> None:
    """A group for each length, without and with a global token."""
    size = sizes(run.quick)
    longest = max(LENGTHS[False])
    theirs, ours, roberta = (build(name, size, longest) for name in (THEIR_LONGFORMER, LONGFORMER, ROBERTA))
    share_weights(theirs, ours)
    share_weights(theirs, roberta)
    for has_global, lengths in LENGTHS.items():
        theirs.global_token = ours.global_token = has_global
        for tokens in lengths if size == BASE else lengths[:2]:
            _length(run, theirs, ours, roberta, tokens, has_global)
    run.notes.append(
        "RoBERTa has no global tokens: it is the same contender in the groups with one. `transformers` pads a text "
        "to a whole window."
    )


def _length(run: Run, theirs: Reader, ours: Reader, roberta: Reader, tokens: int, has_global: bool) -> None:
    ids = document(tokens)
    contenders = [
        Contender(THEIR_LONGFORMER, lambda: theirs(ids), lambda: ours(ids), LONGFORMER),
        Contender(ROBERTA, lambda: roberta(ids), lambda: roberta.eager(ids), "its own eager attention"),
        Contender(LONGFORMER, lambda: ours(ids), lambda: theirs(ids), THEIR_LONGFORMER),
    ]
    for contender, reader in zip(contenders, (theirs, roberta, ours), strict=True):
        contender.flops = reader.flops(tokens)
    name = "global" if has_global else "plain"
    title = f"{tokens:,} tokens, {'one' if has_global else 'no'} global token"
    run.compare(title, contenders, 15, contenders[-1])
    run.measure(f"short.{name}.{tokens}.roberta", ratios(contenders[2], contenders[1]))
    run.measure(f"short.{name}.{tokens}.transformers", ratios(contenders[0], contenders[2]))
