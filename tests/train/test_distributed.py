"""Two gloo processes train as one does with the doubled batch, without any flag; sharded ones too, and they resume."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests._support import run_module

pytest.importorskip("accelerate")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What all cases logged: see distributed_worker."""
    if not torch.distributed.is_available():
        pytest.skip("torch is built without torch.distributed")
    folder = tmp_path_factory.mktemp("distributed")
    return json.loads(run_module("tests.train.distributed_worker", folder, timeout=500).splitlines()[-1])


@pytest.mark.parametrize("case", ["plain", "own loss", "checkpointing", "accumulate", "nystromformer", "fsdp"])
def test_two_processes_train_as_one(report, case):
    found = report[case]
    assert found["difference"] <= 1e-5 < 1e-2 < found["largest"]
    one, two = found["losses"]
    assert len(one) == 3 and two == pytest.approx(one, abs=1e-5)
    assert found["scores"][0] == pytest.approx(found["scores"][1], abs=1e-9)


def test_a_sharded_run_resumes(report):
    straight, stopped = report["straight"], report["stopped"]
    assert stopped["resumed"] == 4
    assert stopped["losses"] == pytest.approx(straight["losses"], abs=1e-6)
    ends = [load_file(Path(x["out"]) / "model.safetensors") for x in (straight, stopped)]
    assert all(torch.allclose(ends[0][name], ends[1][name], atol=1e-6) for name in ends[0])


def test_one_process_goes_on_where_several_sharded(report):
    alone, taken = report["alone"], report["taken-over"]
    assert taken["resumed"] == 4
    assert taken["losses"] == pytest.approx(alone["losses"], abs=1e-5)


def test_one_process_loads_a_sharded_checkpoint(report):
    import longspan

    folder = Path(report["stopped"]["out"]) / "training" / "checkpoints" / "checkpoint-6"
    model, found = longspan.LongformerForTokenClassification.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    published = load_file(folder / "model.safetensors")
    assert all(torch.equal(value, published[name]) for name, value in model.state_dict().items() if name in published)
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LongformerForTokenClassification"]
