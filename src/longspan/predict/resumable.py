"""JSON lines written aside and renamed when they are all there; an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from longspan.atomic import publish


class ResumableLines:
    """A file of JSON lines that is not there before it is whole.

    Lines go to ``NAME.partial``, and what the run was to ``NAME.partial.json``. A later run that is the same goes on
    after the last whole line; another one starts anew.

    Attributes:
        done: lines that an earlier run of the same kind has written.
    """

    def __init__(self, path: str | Path, run: Mapping[str, Any]) -> None:
        """Open the file.

        Args:
            path: what the whole file will be called.
            run: whatever the lines depend on, ready for JSON.

        Raises:
            OSError: the folder is missing or cannot be written to.
            ValueError: ``path`` is a folder.
        """
        self.path = Path(path)
        if self.path.is_dir():
            raise ValueError(f"{path} is a folder; name a file")
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._note = self.path.with_name(self.path.name + ".partial.json")
        run = json.loads(json.dumps(run))
        self.done = 0
        if self._partial.is_file() and _read_note(self._note) == run:
            self.done = _cut(self._partial)
        else:
            # in this order: lines never stand beside the note of another run
            self._partial.unlink(missing_ok=True)
            self._note.write_text(json.dumps(run) + "\n", encoding="utf-8")
        self._file: IO[str] = open(self._partial, "a", encoding="utf-8", newline="\n")  # noqa: SIM115

    def keep(self, count: int) -> None:
        """Forget all of the ``done`` lines but the first ``count``; before the first is written."""
        if count < self.done:
            self._file.close()
            _cut(self._partial, count)
            self._file = open(self._partial, "a", encoding="utf-8", newline="\n")  # noqa: SIM115
            self.done = count

    def write(self, value: Mapping[str, Any]) -> None:
        """Add one line; it is ASCII."""
        self._file.write(json.dumps(value) + "\n")

    def flush(self) -> None:
        """Hand what was written to the system, which keeps it if this process dies."""
        self._file.flush()

    def finish(self) -> None:
        """Give the file its name."""
        self._file.close()
        publish(self._partial, self.path)
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave the lines where a later run finds them; nothing after :meth:`finish`."""
        self._file.close()


def fingerprint(path: str | Path) -> list[list[Any]]:
    """What tells that a file or folder has changed: name, size and time of each of its files; a mere name otherwise."""
    root = Path(path)
    if not root.exists():
        return [[str(path)]]
    files = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
    return [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in files]


def _read_note(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _cut(path: Path, most: int | None = None) -> int:
    """Leave whole lines only, ``most`` of them at most; how many there are."""
    count = end = 0
    with open(path, "r+b") as file:
        for line in file:
            if count == most or not line.endswith(b"\n"):
                break
            count += 1
            end += len(line)
        file.truncate(end)
    return count
