"""`longspan info`: what this installation can do."""

from __future__ import annotations

import json
from typing import Any

import typer

from longspan.cli.options import OneJson


def info(as_json: OneJson = False) -> None:
    """Print versions, devices and attention backends: what a report of a fault should hold."""
    from rich.table import Table
    from rich.text import Text

    from longspan.cli.console import out
    from longspan.predict.environment import environment

    facts = environment()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(name, style="cyan"), Text(_shown(value)))
    out().print(table)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "\n".join(f"{name}: {note}" for name, note in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
