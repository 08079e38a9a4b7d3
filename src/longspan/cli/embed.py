"""`longspan embed`: vectors of text files."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longspan.cli.console import complain, out, user_errors
from longspan.cli.documents import check_encoding, each_document
from longspan.cli.options import BatchTokens, Device, Files, MaxLength, Model, Stride, TextEncoding

if TYPE_CHECKING:
    import numpy as np


class Pooling(StrEnum):
    """How a document's tokens become one vector."""

    mean = "mean"
    cls = "cls"


def embed(
    model: Model,
    files: Files = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where the vectors go: an array (.npy) or JSON lines (.jsonl); else printed."
        ),
    ] = None,
    pooling: Annotated[Pooling, typer.Option(help="Mean over all tokens, or the first token's vector.")] = Pooling.mean,
    normalize: Annotated[bool, typer.Option("--normalize", help="Divide each vector by its length.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a model that sentence-transformers loads; then files may be missing."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Say what was written as one JSON object; printed vectors always are JSON."),
    ] = False,
    encoding: TextEncoding = None,
    device: Device = None,
    max_length: MaxLength = None,
    stride: Stride = None,
    batch_tokens: BatchTokens = 16384,
) -> None:
    """Make one vector of each text file, whatever its length.

    JSON lines hold file, characters and vector, in the order of the command line; the rows of an array are in the same
    order.

    Exit codes: 0 fine; 1 a file or the model could not be read (FILE is then not written); 2 wrong usage.
    """
    if target is not None and target.suffix not in (".npy", ".jsonl"):
        raise typer.BadParameter(f"{target} must end in .npy or .jsonl", param_hint="--out")
    if target is not None and not target.absolute().parent.is_dir():
        raise typer.BadParameter(f"{target} is not in a folder that exists", param_hint="--out")
    check_encoding(encoding)
    found: list[tuple[str, int, np.ndarray]] = []
    with user_errors():
        from longspan.predict.embedding import Embedder
        from longspan.predict.sentence_folder import save_sentence_folder

        embedder = Embedder.from_pretrained(
            model, pooling.value, normalize, device=device, max_length=max_length, stride=stride
        )
        if save is not None:
            save_sentence_folder(embedder, save)
            if not files:
                _tell({"saved": str(save)}, f"{save}: load it with sentence_transformers.SentenceTransformer", as_json)
                return

        def work(text: str) -> np.ndarray:
            return embedder([text], batch_tokens)[0]

        def show(source: str, text: str, vector: np.ndarray) -> None:
            if target is None:
                typer.echo(_json_line(source, len(text), vector))
            else:
                found.append((source, len(text), vector))

        try:
            each_document(files, encoding, work, show)
        except typer.Exit:
            if target is not None and target.suffix == ".npy":
                complain(f"{target}: not written, its rows would not be those of the files")
            elif target is not None and found:
                _finish(target, found, as_json)
            raise
        if target is not None:
            _finish(target, found, as_json)


def _finish(target: Path, found: list[tuple[str, int, np.ndarray]], as_json: bool) -> None:
    _write(target, found)
    _tell({"file": str(target), "vectors": len(found)}, f"{target}: {len(found):,} vectors", as_json)


def _tell(facts: dict[str, str | int], sentence: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        out().print(sentence, soft_wrap=True, markup=False)


def _json_line(source: str, characters: int, vector: np.ndarray) -> str:
    return json.dumps({"file": source, "characters": characters, "vector": [float(f"{x:.7g}") for x in vector]})


def _write(target: Path, found: list[tuple[str, int, np.ndarray]]) -> None:
    """Write the file aside and give it its name."""
    import numpy as np

    from longspan.atomic import write_file

    with write_file(target) as partial, open(partial, "wb") as file:
        if target.suffix == ".npy":
            np.save(file, np.stack([vector for _, _, vector in found]))
        else:
            file.writelines(f"{_json_line(*entry)}\n".encode() for entry in found)
