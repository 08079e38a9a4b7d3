"""``accelerate launch`` with two processes on CPUs, as docs/training.md writes it."""

import json
import shlex
from pathlib import Path

import pytest

from longspan.train import Arguments, train
from tests._support import run_module
from tests.train.parity import WORDS, write_checkpoint

pytest.importorskip("accelerate")
pytest.importorskip("pyarrow")

ROOT = Path(__file__).parents[2]
LAUNCH = "accelerate launch --multi_gpu --num_processes 2 -m longspan train classify"


def test_the_page_shows_this_command():
    assert f"\n{LAUNCH} " in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


@pytest.mark.slow  # three processes import transformers: half a minute
def test_two_processes_train_as_one(tmp_path):
    data = tmp_path / "train.jsonl"
    rows = [{"text": " ".join(WORDS[i % 7 : i % 7 + 3 + i % 5]), "label": "ab"[i % 2]} for i in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = write_checkpoint(tmp_path / "model")
    launcher, *words = shlex.split(LAUNCH)
    assert launcher == "accelerate"
    place = words.index("-m")
    # what accelerate would ask for or warn of; a port of its own
    quiet = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    options = ["--data", data, "--model", model, "--out", tmp_path / "two", "--validation", data, "--json"]
    options += ["--steps", "3", "--batch", "2", "--lr", "1e-3", "--set", "dropout=0", "--set", "cpu=true"]
    command = [*words[1:place], *quiet, *words[place:], *options]
    printed = run_module("accelerate.commands.accelerate_cli", words[0], *command, timeout=500)
    (line,) = printed.splitlines()  # one process speaks for both
    two = json.loads(line)
    arguments = Arguments(steps=3, batch=4, lr=1e-3, dropout=0.0, cpu=True)
    one = train("classify", data, tmp_path / "one", model=model, validation=data, arguments=arguments)
    losses = [[entry["loss"] for entry in history if "loss" in entry] for history in (two["history"], one.history)]
    assert len(losses[0]) == 3 and losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert two["scores"] == pytest.approx(one.scores)
    begun = json.loads((tmp_path / "two" / "training" / "features" / "features.json").read_text())["about"]["run"]
    assert begun["rows a step (batch x accumulate x processes)"] == 4
