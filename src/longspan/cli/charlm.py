"""`longspan charlm`: character language models trained in stages, scored and asked for text."""

from __future__ import annotations

import codecs
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longspan.cli.assignments import read_assignments
from longspan.cli.console import out, printable, user_errors
from longspan.cli.options import Device, OneJson, Settings, Threads, check_choice, set_threads
from longspan.cli.training_progress import training_progress

if TYPE_CHECKING:
    from longspan.models.longformer import LongformerForCausalLM

app = typer.Typer(no_args_is_help=True)

Model = Annotated[
    str, typer.Option("--model", metavar="DIR_OR_ID", help="The folder of a run, or of a model.", show_default=False)
]
Data = Annotated[
    Path,
    typer.Option(metavar="FILE", help="The text: enwik8, text8 or any other, packed or not.", show_default=False),
]


@app.callback()
def charlm() -> None:
    """Causal Longformers on characters, which are bytes, as in enwik8 and text8."""


@app.command(short_help="Train a model by a recipe.")
def train(
    recipe: Annotated[str, typer.Option(metavar="NAME_OR_FILE", help="What to train, and how.", show_default=False)],
    data: Data,
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the run.", show_default=False)],
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Of weights, dropout and places.")] = 0,
    device: Device = None,
    threads: Threads = None,
    set_: Settings = None,
    as_json: OneJson = False,
) -> None:
    """Train a model in the stages of a recipe; it is then in DIR/model.

    Run again with the same options, it resumes, to the same last bit. After each stage the validation part is scored.

    Exit codes: 0 fine; 1 the recipe, the text or the folder cannot be used; 2 wrong usage.
    """
    from longspan.charlm.settings import KINDS

    changes = read_assignments(set_, KINDS, "--set")
    with user_errors("batch or length of a stage"):
        set_threads(threads)
        from longspan.charlm.recipe import read_recipe
        from longspan.charlm.run import train as run

        try:
            with training_progress(True) as tell:
                result = run(
                    read_recipe(recipe), data, out_folder, changes=changes, seed=seed, device=device, on_progress=tell
                )
        except TypeError as error:
            raise ValueError(str(error)) from None
    if as_json:
        typer.echo(json.dumps(result))
        return
    bits = result["bits_per_character"]["validation"]
    out().print(f"{bits:.4f} bits per character of the validation part after {result['steps']:,} steps")
    out().print(printable(str(out_folder / "model")), soft_wrap=True)


@app.command(short_help="Bits per character of a part of a text.")
def evaluate(
    model: Model,
    data: Data,
    part: Annotated[str, typer.Option(metavar="NAME", help="train, validation, test, or all.")] = "test",
    validation: Annotated[float, typer.Option(metavar="SHARE", help="Of the text.")] = 0.05,
    test: Annotated[float, typer.Option(metavar="SHARE", help="Of the text.")] = 0.05,
    length: Annotated[
        int, typer.Option(metavar="CHARACTERS", min=1, help="Of a sequence; with --streaming the whole text is one.")
    ] = 32_256,
    step: Annotated[
        int, typer.Option(metavar="CHARACTERS", min=1, help="Scored at the end of each sequence, and between two.")
    ] = 512,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Read the text once, each character with all before.")
    ] = False,
    limit: Annotated[int, typer.Option(metavar="CHARACTERS", min=0, help="Most that are scored; 0 for all.")] = 0,
    device: Device = None,
    threads: Threads = None,
    as_json: OneJson = False,
) -> None:
    """Score a model by the Longformer paper's protocol: overlapping sequences, of each the last characters.

    Memory does not grow with the text. Where the model reaches no further than a sequence's context, one pass over the
    text gives the same scores and is what is done.

    Exit codes: 0 fine; 1 the model or the text cannot be used; 2 wrong usage.
    """
    with user_errors("model"):
        set_threads(threads)
        from longspan.charlm.evaluating import evaluate as score
        from longspan.charlm.texts import PARTS, read_text, split_text

        check_choice(part, (*PARTS, "all"), "--part")
        text = read_text(data)
        if part != "all":
            text = split_text(text, validation, test)[part]
        loaded = _load(model, device)
        with training_progress(True) as tell:
            result: dict[str, Any] = score(
                loaded,
                text,
                length=None if streaming else length,
                step=step,
                limit=limit,
                on_characters=lambda done, total: tell("evaluate", done, total, {}),
            )
    if as_json:
        typer.echo(json.dumps({"part": part, **result}))
        return
    out().print(f"{result['bits_per_character']:.4f} bits per character of {result['characters']:,} of {part}")
    how = "all before" if streaming else f"sequences of {length:,}, {step:,} apart"
    out().print(f"context: {how}; the model reaches {result['reach']:,}; each read {result['passes']:.3g} times")


@app.command(short_help="Go on with a text.")
def generate(
    model: Model,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the text begins with.")] = "\n",
    characters: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="How many; 0 to go on for ever.")] = 1000,
    temperature: Annotated[
        float, typer.Option(metavar="NUMBER", min=0, help="Lower is more likely text; 0 takes the likeliest.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Draw from so many only; 0 for all.")] = 0,
    seed: Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Another one for another text.")] = 0,
    device: Device = None,
    threads: Threads = None,
    as_json: OneJson = False,
) -> None:
    """Print a text of any length as it comes, in constant memory and time per character.

    Exit codes: 0 fine; 1 the model cannot be used; 2 wrong usage.
    """
    if as_json and not characters:
        raise typer.BadParameter("0 has no end, which --json would have to wait for", param_hint="--characters")
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with user_errors("model"):
        set_threads(threads)
        from longspan.charlm.generating import generate as go_on

        begun = prompt.encode("utf-8", "surrogateescape")
        found = go_on(_load(model, device), begun, characters or None, temperature=temperature, top_k=top_k, seed=seed)
        if as_json:
            start = time.perf_counter()
            text = bytes(found).decode("utf-8", "replace")
            seconds = round(time.perf_counter() - start, 3)
            typer.echo(json.dumps({"prompt": prompt, "text": text, "characters": characters, "seconds": seconds}))
            return
        typer.echo(_safe(prompt), nl=False)
        for character in found:
            typer.echo(_safe(decoder.decode(bytes([character]))), nl=False)
            sys.stdout.flush()
        typer.echo(_safe(decoder.decode(b"", final=True)))


def _safe(text: str) -> str:
    """Text that cannot steer a terminal; tabs stay."""
    return "\t".join(map(printable, text.split("\t")))


def _load(model: str, device: str | None) -> LongformerForCausalLM:
    from longspan.charlm.run import MODEL, RESULT
    from longspan.models.hub import check_name
    from longspan.models.longformer import LongformerForCausalLM
    from longspan.predict.loading import find_device

    folder = Path(model) / MODEL
    found = str(folder) if (Path(model) / RESULT).is_file() and folder.is_dir() else model
    check_name(found)
    return LongformerForCausalLM.from_pretrained(found).to(find_device(device)).eval()
