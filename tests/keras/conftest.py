"""The references that the tests of the Keras classes share: written once, by torch."""

from pathlib import Path

import pytest

from tests.keras import references


@pytest.fixture(scope="session")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints, inputs, outputs and gradients of all classes, for one ragged batch."""
    folder = tmp_path_factory.mktemp("keras")
    references.main(str(folder), "ragged")
    return folder


@pytest.fixture(scope="session")
def references_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for every case."""
    folder = tmp_path_factory.mktemp("keras-all")
    references.main(str(folder))
    return folder
