"""What `longspan info` says about the backends is what the committed results say."""

import json
from pathlib import Path

import pytest
import torch

from longspan.ops.window import BACKENDS, availability

RESULT = Path(__file__).parents[3] / "benchmarks" / "results" / "gpu.json"


def test_every_backend_has_a_note():
    assert tuple(availability.backend_notes()) == BACKENDS


def test_verified_are_the_gpus_of_the_committed_results():
    """No GPU result, no verified backend."""
    checked = json.loads(RESULT.read_text(encoding="utf-8"))["verified"] if RESULT.exists() else {}
    assert {name: tuple(checked.get(name, ())) for name in availability.VERIFIED} == availability.VERIFIED


@pytest.mark.parametrize(
    ("verified", "here", "expected"),
    [
        ((), None, "(none here; unverified)"),
        (("A100", "H100"), None, "(none here; verified on A100, H100)"),
        ((), "A100", "(unverified on A100)"),
        (("H100",), "A100", "(unverified on A100)"),
        (("H100", "A100"), "A100", "(verified on A100)"),
    ],
)
def test_notes_name_the_gpu(verified, here, expected, monkeypatch):
    monkeypatch.setitem(availability.VERIFIED, "flash_varlen", verified)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here is not None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: here)
    assert availability.backend_notes()["flash_varlen"] == f"CUDA in float16 and bfloat16 {expected}"
