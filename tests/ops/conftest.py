"""Fixtures of the tests of operations."""

from collections.abc import Iterator

import pytest

from tests._support import uninitialized_is_nan


@pytest.fixture
def nan_filled() -> Iterator[None]:
    """Uninitialised memory is full of NaN."""
    with uninitialized_is_nan():
        yield
