"""A toy model, trained once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from longspan.charlm.run import train
from longspan.models.longformer import LongformerForCausalLM
from tests.charlm.toys import make_recipe, write_text


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The text, the folder of the run and its result."""
    folder = tmp_path_factory.mktemp("charlm")
    text = write_text(folder / "words.txt")
    return text, folder / "run", train(make_recipe(), text, folder / "run")


@pytest.fixture
def toy_model(toy_run: tuple[Path, Path, dict[str, Any]]) -> LongformerForCausalLM:
    return LongformerForCausalLM.from_pretrained(toy_run[1] / "model").eval()
