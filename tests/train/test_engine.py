"""Runs on a tiny task: what comes out, what is refused, what is resumed."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file

import longspan
from longspan.tasks.examples import DataError
from longspan.train import Arguments, train
from longspan.train.checkpoints import list_checkpoints
from longspan.train.identity import DifferentRun
from longspan.train.lock import BusyRun, hold
from tests.train.parity import Parity, write_checkpoint, write_texts

pytest.importorskip("accelerate")
pytest.importorskip("pyarrow")

POOLER = {"pooler.dense.weight", "pooler.dense.bias"}
ARGUMENTS = Arguments(steps=6, batch=4, lr=3e-3, save_every=2, cpu=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_texts(folder / "train.txt", 30)
    write_texts(folder / "validation.txt", 10, seed=1)
    write_checkpoint(folder / "longformer", hidden_dropout_prob=0.1)
    write_checkpoint(folder / "nystromformer", "Nystromformer", hidden_dropout_prob=0.1)
    return folder


def run(place, out, task=None, arguments=ARGUMENTS, family="longformer", **keywords):
    keywords = {"data": place / "train.txt", "model": place / family, **keywords}
    return train(task or Parity(), keywords.pop("data"), out, arguments=arguments, **keywords)


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def finished(place, tmp_path_factory):
    """A run that nothing interrupted, with its result."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    return out, run(place, out, validation=place / "validation.txt")


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_it_learns_and_leaves_a_model(place, family, tmp_path):
    seen = []
    result = run(
        place,
        tmp_path / "run",
        family=family,
        arguments=Arguments(steps=25, batch=8, lr=1e-2, cpu=True),
        validation=place / "validation.txt",
        on_progress=lambda *told: seen.append(told),
    )
    before = next(line["eval_accuracy"] for line in result.history if line["step"] == 0)
    assert result.scores["accuracy"] > max(0.6, before + 0.1)
    assert result.rows == 30 and result.steps == 25 and result.resumed is None
    losses = [line["loss"] for line in result.history if "loss" in line]
    assert losses[-1] < losses[0] and result.loss == losses[-1]
    assert {told[0] for told in seen} == {"read", "check", "train", "evaluate"}
    assert [told[1:3] for told in seen if told[0] == "train"][-1] == (25, 25)
    cls = {"longformer": longspan.LongformerForTokenClassification}.get(
        family, longspan.NystromformerForTokenClassification
    )
    model, found = cls.from_pretrained(tmp_path / "run", output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    assert model.config.id2label == {0: "zero", 1: "one", 2: "two"}
    assert (tmp_path / "run" / "tokenizer.json").exists()
    saved = json.loads((tmp_path / "run" / "longspan.json").read_text())
    assert saved["task"] == "parity" and saved["options"]["labels"] == ["zero", "one", "two"]
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert not left & {"optimizer.pt", "scheduler.pt", "trainer_state.json", "training_args.bin", "manifest.json"}


def test_the_best_weights_are_published(place, finished):
    out, result = finished
    scores = {x["step"]: x["eval_accuracy"] for x in result.history if "eval_accuracy" in x}
    assert scores.keys() == {0, 2, 4, 6}
    del scores[0]
    best = min(scores, key=lambda step: (-scores[step], step))
    assert result.best_step == best and result.scores == {"accuracy": scores[best]}
    assert same(weights(out), weights(out / "training" / "checkpoints" / f"checkpoint-{best}"))


def test_a_finished_run_is_not_run_again(place, finished):
    out, result = finished
    again = run(place, out, validation=place / "validation.txt")
    assert again.resumed == 6 and again.seconds == 0
    assert (again.history, again.scores) == (result.history, result.scores)


def test_the_model_of_a_finished_run_is_looked_for(place, finished, tmp_path, caplog):
    straight, _ = finished
    out = shutil.copytree(straight, tmp_path / "run")
    (out / "model.safetensors").unlink()
    assert run(place, out, validation=place / "validation.txt").resumed == 6
    assert same(weights(out), weights(straight)) and "lacks files of its model" in caplog.text
    (out / "config.json").write_text("{}")
    with pytest.raises(FileExistsError, match=r"config.json has 2 bytes instead of .* another folder"):
        run(place, out, validation=place / "validation.txt")
    assert (out / "config.json").read_text() == "{}"
    (out / "config.json").unlink()
    shutil.rmtree(out / "training" / "checkpoints")
    with pytest.raises(FileNotFoundError, match="cannot give them back"):
        run(place, out, validation=place / "validation.txt")


def test_a_second_command_leaves_the_first_alone(place, finished, tmp_path):
    """It is given while the first one writes a checkpoint, which the second would take for what a crash left."""
    out = shutil.copytree(finished[0], tmp_path / "run")
    writing = out / "training" / "checkpoints" / ".writing-checkpoint-6"
    writing.mkdir()
    with (
        hold(out / "training"),
        pytest.raises(BusyRun, match=rf"in use by process {os.getpid()} on .*Wait for it, or end it first"),
    ):
        run(place, out, validation=place / "validation.txt")
    assert writing.exists()
    run(place, out, validation=place / "validation.txt")  # nobody holds it any more
    assert not writing.exists()


def test_an_interrupted_run_resumes_to_the_same_weights(place, finished, tmp_path):
    straight, _ = finished
    out = tmp_path / "run"

    def interrupt(doing, done, total, figures):
        if doing == "train" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(place, out, validation=place / "validation.txt", on_progress=interrupt)
    assert [step for step, _ in list_checkpoints(out / "training" / "checkpoints")] == [4, 2]
    result = run(place, out, validation=place / "validation.txt")
    assert result.resumed == 4
    for step in (4, 6):
        parts = [folder / "training" / "checkpoints" / f"checkpoint-{step}" for folder in (out, straight)]
        assert same(*map(weights, parts))
        states = [torch.load(part / "optimizer.pt", weights_only=True) for part in parts]
        assert str(states[0]) == str(states[1])
    assert same(weights(out), weights(straight))


def test_a_run_that_ended_before_it_was_published(place, finished, tmp_path):
    straight, expected = finished
    out = tmp_path / "run"
    (out / "training").mkdir(parents=True)
    shutil.copytree(straight / "training", out / "training", dirs_exist_ok=True)
    (out / "training" / "result.json").unlink()
    result = run(place, out, validation=place / "validation.txt")
    assert result.resumed == 6 and result.scores == expected.scores
    assert same(weights(out), weights(straight))


def test_a_run_of_an_earlier_version_goes_on(place, finished, tmp_path):
    """Before there were classes of what is held out, and a number of validation examples to tell."""
    out = tmp_path / "run"
    shutil.copytree(finished[0] / "training", out / "training")
    (out / "training" / "result.json").unlink()
    shutil.rmtree(out / "training" / "checkpoints" / "checkpoint-6")
    features = out / "training" / "features" / "features.json"
    content = json.loads(features.read_text())
    assert content["about"].pop("by_class") is True and content["about"].pop("validation") == 10
    content["about"]["run"]["options"]["later"] = None
    features.write_text(json.dumps(content))
    result = run(place, out, validation=place / "validation.txt")
    assert result.resumed == 4 and same(weights(out), weights(finished[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arguments": Arguments(steps=6, batch=4, lr=1e-3, save_every=2, cpu=True)}, "lr was 0.003, is 0.001"),
        ({"arguments": Arguments(steps=6, batch=8, lr=3e-3, save_every=2, cpu=True)}, "processes\\) was 4, is 8"),
        ({"task": Parity(own_loss=True)}, 'options was .*"own_loss": false.*, is .*"own_loss": true'),
        ({"family": "nystromformer"}, "model was .*longformer.*, is .*nystromformer"),
        ({"validation": None}, "validation was .*validation.txt .*bytes.*, is null"),
        ({"layout": "other"}, 'layout was null, is "other"'),
    ],
)
def test_other_arguments_are_refused(place, finished, change, message):
    out, _ = finished
    with pytest.raises(DifferentRun, match=message) as caught:
        run(place, out, **{"validation": place / "validation.txt", **change})
    assert "another folder to begin anew" in str(caught.value)


def test_other_data_is_refused(place, finished, tmp_path):
    data = tmp_path / "train.txt"
    shutil.copy(place / "train.txt", data)
    run(place, tmp_path / "run", data=data, arguments=Arguments(steps=1, batch=2, cpu=True))
    data.write_text(data.read_text() + "one more\n")
    with pytest.raises(DifferentRun, match=r"data was .*bytes.*bytes"):
        run(place, tmp_path / "run", data=data, arguments=Arguments(steps=1, batch=2, cpu=True))


def test_rows_may_be_dealt_out_in_another_way(place, finished, tmp_path):
    """Gradients of half batches add up; the run goes on with them."""
    out = tmp_path / "run"
    halves = Arguments(steps=6, batch=2, accumulate=2, lr=3e-3, save_every=2, cpu=True)

    def interrupt(doing, done, total, figures):
        if doing == "train" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(place, out, arguments=halves, on_progress=interrupt)
    assert run(place, out).resumed == 2


def test_accumulated_steps_equal_one_large_batch(place, tmp_path):
    model = write_checkpoint(tmp_path / "model", hidden_dropout_prob=0.0)
    found = []
    for name, batch, accumulate, own_loss in (("a", 8, 1, False), ("b", 2, 4, False), ("c", 2, 4, True)):
        arguments = Arguments(steps=3, batch=batch, accumulate=accumulate, lr=1e-3, cpu=True)
        result = run(place, tmp_path / name, Parity(own_loss=own_loss), arguments, model=model)
        found.append([(line["loss"], line["grad_norm"]) for line in result.history if "loss" in line])
    for other in found[1:]:
        for (loss, norm), (expected_loss, expected_norm) in zip(other, found[0], strict=True):
            assert loss == pytest.approx(expected_loss, abs=1e-5)
            assert norm == pytest.approx(expected_norm, abs=1e-4)


@pytest.mark.parametrize("bad", ["bad row", "unfit row"])
@pytest.mark.parametrize("file", ["train.txt", "validation.txt"])
def test_a_bad_last_row_ends_the_run_before_the_first_step(place, bad, file, tmp_path):
    paths = {}
    for name in ("train.txt", "validation.txt"):
        paths[name] = tmp_path / name
        text = (place / name).read_text()
        paths[name].write_text(text + (f"{bad}\n" if name == file else ""))
    keywords = {"data": paths["train.txt"], "validation": paths["validation.txt"]}
    lines = len(paths[file].read_text().splitlines())
    seen = []
    with pytest.raises(DataError, match=rf"{file}:{lines}: it (says so|does not fit)"):
        run(place, tmp_path / "run", **keywords, on_progress=lambda *told: seen.append(told[0]))
    assert "train" not in seen
    # the data is mended, and the same command goes through
    paths[file].write_text((place / file).read_text())
    assert run(place, tmp_path / "run", **keywords, arguments=Arguments(steps=1, batch=2, cpu=True)).rows == 30


def test_bad_rows_are_left_out_and_counted(place, tmp_path):
    data = tmp_path / "train.txt"
    data.write_text("bad one\n" + (place / "train.txt").read_text() + "unfit row\n")
    validation = tmp_path / "validation.txt"
    validation.write_text("unfit row\n" + (place / "validation.txt").read_text())
    result = run(place, tmp_path / "run", data=data, validation=validation, skip_bad=True)
    assert result.rows == 30 and result.skipped == 3
    assert result.bad[0] == f"{data}:1: it says so" and result.bad[2] == f"{validation}:1: it does not fit"


def test_every_row_bad(place, tmp_path):
    data = tmp_path / "train.txt"
    data.write_text("bad one\nbad two\n")
    with pytest.raises(DataError, match="every row is bad"):
        run(place, tmp_path / "run", data=data, skip_bad=True)


def test_part_of_the_data_is_held_out(place, tmp_path):
    result = run(place, tmp_path / "a", arguments=Arguments(steps=2, batch=4, holdout=0.3, cpu=True))
    assert 15 < result.rows < 28 and result.scores
    with pytest.raises(ValueError, match="holdout is for data without a validation file"):
        run(
            place,
            tmp_path / "b",
            arguments=Arguments(holdout=0.3),
            validation=place / "validation.txt",
        )


@pytest.mark.filterwarnings("error::FutureWarning")
def test_lora_trains_adapters_and_merges_them(place, tmp_path, capfd):
    pytest.importorskip("peft")
    arguments = Arguments(steps=6, batch=4, lr=1e-2, save_every=2, lora=4, cpu=True)
    result = run(place, tmp_path / "a", arguments=arguments, validation=place / "validation.txt")
    checkpoint = tmp_path / "a" / "training" / "checkpoints" / f"checkpoint-{result.best_step}"
    assert (checkpoint / "adapter_model.safetensors").exists() and not (checkpoint / "model.safetensors").exists()
    start, end = weights(place / "longformer"), weights(tmp_path / "a")
    changed = {name for name in start.keys() - POOLER if not torch.equal(start[name], end[f"longformer.{name}"])}
    assert changed and all(
        name.endswith((".query.weight", ".key.weight", ".value.weight", "_global.weight")) for name in changed
    )
    assert not any("lora" in name for name in end)
    assert capfd.readouterr() == ("", "")  # neither bars nor reports

    def interrupt(doing, done, total, figures):
        if doing == "train" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(place, tmp_path / "b", arguments=arguments, validation=place / "validation.txt", on_progress=interrupt)
    assert run(place, tmp_path / "b", arguments=arguments, validation=place / "validation.txt").resumed == 4
    assert same(weights(tmp_path / "b"), end)


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_new_weights_with_a_new_tokenizer(place, family, tmp_path):
    arguments = Arguments(steps=2, batch=2, max_length=64, cpu=True)
    train(Parity(), place / "train.txt", tmp_path / "run", scratch="tiny", family=family, arguments=arguments)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model_type"] == family and config["hidden_size"] == 128
    longspan.register()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert len(tokenizer) == config["vocab_size"]
    assert tokenizer.decode(tokenizer("this agreement")["input_ids"], skip_special_tokens=True) == "this agreement"


def test_checkpointing_and_bfloat16(place, tmp_path):
    model = write_checkpoint(tmp_path / "model", hidden_dropout_prob=0.0)
    ends = []
    for name, change in (("plain", {}), ("checkpointing", {"checkpointing": True}), ("bf16", {"bf16": True})):
        arguments = Arguments(steps=2, batch=4, lr=1e-3, cpu=True, **change)
        ends.append(run(place, tmp_path / name, arguments=arguments, model=model).loss)
    assert ends[1] == pytest.approx(ends[0], abs=1e-6)
    assert 0 < abs(ends[2] - ends[0]) < 0.1


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"model": None}, "give one of them"),
        ({"scratch": "tiny"}, "give one of them"),
        ({"model": None, "scratch": "huge"}, "there is no size 'huge'"),
        ({"model": None, "scratch": "tiny", "family": "bert"}, "family must be one of longformer, nystromformer"),
        ({"arguments": Arguments(max_length=100_000)}, "max_length must be at most 128"),
        ({"arguments": Arguments(max_length=64, stride=64)}, "stride must be less than the 64 tokens"),
        ({"model": None, "scratch": "tiny", "arguments": Arguments(lora=2)}, "lora adapts a checkpoint's weights"),
    ],
)
def test_starts_that_cannot_be(place, keywords, message, tmp_path):
    family = keywords.pop("family", "longformer")
    if family == "bert":
        with pytest.raises(ValueError, match=message):
            train(Parity(), place / "train.txt", tmp_path / "run", family=family, **keywords)
        return
    with pytest.raises(ValueError, match=message):
        run(place, tmp_path / "run", **keywords)


def test_a_model_is_not_trained_in_its_own_folder(place):
    with pytest.raises(ValueError, match="out must be another folder than that of the model"):
        run(place, place / "longformer")


def test_a_model_that_is_there_is_not_written_over(place, finished, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "run", ignore=shutil.ignore_patterns("training"))
    before = sorted(out.iterdir())
    with pytest.raises(FileExistsError, match=r"run holds a model already \(config.json, .*another folder"):
        run(place, out, validation=place / "validation.txt")
    assert sorted(out.iterdir()) == before and same(weights(out), weights(finished[0]))


def test_a_missing_file(place, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        run(place, tmp_path / "run", data=tmp_path / "nothing.txt")
    assert run(place, tmp_path / "run", arguments=Arguments(steps=1, batch=2, cpu=True)).steps == 1
