"""Two gloo processes, one of them without a global token, train as one process does, without any flag."""

import json

import pytest
import torch

from tests._support import run_module


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What each process found: for each case the largest gradient, and the largest difference to one process."""
    if not torch.distributed.is_available():
        pytest.skip("torch is built without torch.distributed")
    folder = tmp_path_factory.mktemp("distributed")
    return json.loads(run_module("tests.models.distributed_worker", folder).splitlines()[-1])


@pytest.mark.parametrize("way", ["plain", "checkpointing", "reentrant"])
@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
def test_distributed_data_parallel(reports, family, way):
    for report in reports:
        largest, difference = report[f"{family} ForTokenClassification ddp {way}"]
        assert difference <= 1e-5 < 1e-2 < largest


@pytest.mark.parametrize(
    "case",
    ["Longformer ForMaskedLM", "Nystromformer ForMaskedLM", "Longformer ForSequenceClassification"],
)
def test_other_heads(reports, case):
    for report in reports:
        largest, difference = report[f"{case} ddp checkpointing"]
        assert difference <= 1e-5 < 1e-2 < largest


@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
def test_fully_sharded(reports, family):
    for report in reports:
        largest, difference = report[f"{family} ForTokenClassification fsdp checkpointing"]
        assert difference <= 1e-5 < 1e-2 < largest
