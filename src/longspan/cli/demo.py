"""`longspan demo`: read the contract that ships with the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from longspan.cli.console import (
    above,
    check_page_path,
    fail,
    load_tagger,
    out,
    passage_table,
    progress,
    set_share,
    write_page,
)

CREDIT = (
    "The contract is from CUAD v1 by The Atticus Project (https://www.atticusprojectai.org/cuad), CC BY 4.0, "
    "and was not used in training. Found by a model; not legal advice."
)
TITLE = "What the contract holds, read in one pass"
_WARM_UP = 4000


def demo(
    html: Annotated[
        Path, typer.Option(metavar="OUT", help="Where the page with the highlighted passages goes.")
    ] = Path("demo.html"),
    copies: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Read the contract N times over as one document (40: a million tokens)."),
    ] = 1,
) -> None:
    """Read a real contract in one forward pass, print what it holds, and write it as an HTML page.

    The contract ships with longspan and was held out when the model was trained. The time of the pass stands beside
    that of the same model with dense attention: the same result, with every token scored against every other. With
    several copies the memory of the process stands there instead.
    """
    from longspan.predict.demo import contract
    from longspan.predict.html import TaggedDocument, render_page

    check_page_path(html)
    name, text = contract()
    if copies > 1:
        name, text = f"{copies} copies of {name}", "\n\n".join([text] * copies)
    with progress(1) as bar:
        bar.update(bar.task_ids[0], description="loading the model")
        tagger = load_tagger(None)
        tagger(text[:_WARM_UP])  # what happens only once is no part of either time
        bar.update(bar.task_ids[0], description=f"reading {name}")
        result = tagger(text, progress=set_share(bar, 0))
        if copies == 1:
            with above(bar):
                out().print(passage_table(text, result.passages, f"{name}: what the model found"))
            bar.update(bar.task_ids[0], description="the same with dense attention", completed=0)
            dense_seconds = tagger.time_dense(text, progress=set_share(bar, 0))
            times = f"the same model with dense attention: {dense_seconds:.2f} s"
            compared = f" ({dense_seconds / max(result.seconds, 1e-9):.1f} times as long)"
        else:
            times, compared = _memory(), f"; {len(result.passages):,} passages"

    words = f"{len(text.split()):,} words, {result.n_tokens:,} tokens"
    times = f"one forward pass: {result.seconds:.2f} s; {times}"
    write_page(html, render_page([TaggedDocument(name, text, result.passages, [words, times])], TITLE, CREDIT))
    console = out()
    console.print(f"Read in {times}{compared}.", soft_wrap=True)
    found = {p.category for p in result.passages}
    console.print(f"Not found: {', '.join(c for c in tagger.categories if c not in found) or 'nothing'}.")
    console.print(f"The document: {words}. {CREDIT}", soft_wrap=True)
    console.print(f"The page with every passage highlighted: {html}", soft_wrap=True)
    if not result.passages:
        fail("nothing was found, which should not happen with the contract that ships")


def _memory() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "peak memory unknown on this system"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"peak memory of the whole process: {peak / 1e9:.2f} GB"
