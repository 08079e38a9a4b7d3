"""Every task from its file to a model that gives the score it was chosen by."""

import json

import pytest

from longspan.predict.loading import load
from longspan.predict.loop import predict_examples
from longspan.tasks.gold import without_gold
from longspan.tasks.registry import TASKS, make_task
from longspan.train import Arguments, train
from tests.train.parity import WORDS, write_checkpoint

pytest.importorskip("accelerate")
pytest.importorskip("pyarrow")

PLACES = ("Paris", "Rome", "Bonn", "Oslo")


def long_text(row):
    """A document of a different length for each row, up to several windows."""
    return " ".join(WORDS[(row + i) % len(WORDS)] for i in range(10 + 17 * (row % 7)))


def write_rows(task, path, rows):
    """A small file of the task's general form."""
    entries = []
    for row in range(rows):
        place = PLACES[row % 4]
        if task == "classify":
            entries.append({"text": f"{place} {long_text(row)}", "label": place})
        elif task == "tag":
            tokens = [*long_text(row).split(), place, "ends"]
            entries.append({"tokens": tokens, "tags": ["O"] * (len(tokens) - 2) + ["B-LOC", "O"]})
        elif task == "answer":
            before = f"{long_text(row)} in "
            context = f"{before}{place}, {long_text(row + 1)}"
            answers = [] if row % 5 == 0 else [{"text": place, "start": len(before)}]
            entries.append({"id": str(row), "question": "Where is it?", "context": context, "answers": answers})
        elif task == "choose":
            choices = PLACES[: 2 + row % 3]
            entries.append({"prompt": long_text(row), "choices": choices, "label": row % len(choices)})
        elif task == "wikihop":
            supports = [f"{long_text(i)} {place}" for i in range(row % 3 + 1)]
            entries.append(
                {"id": str(row), "query": "city it", "candidates": PLACES, "supports": supports, "answer": place}
            )
    if task == "mlm":
        path.write_text("\n\n".join(f"{PLACES[row % 4]} {long_text(row)}" for row in range(rows)) + "\n")
    elif task == "wikihop":
        path.write_text(json.dumps(entries))
    else:
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


SUFFIX = {"mlm": "txt", "wikihop": "json"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {family: write_checkpoint(folder / family, family) for family in ("Longformer", "Nystromformer")}


@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_from_a_file_to_a_model(task, family, models, tmp_path):
    suffix = SUFFIX.get(task, "jsonl")
    data = write_rows(task, tmp_path / f"train.{suffix}", 16)
    validation = write_rows(task, tmp_path / f"dev.{suffix}", 7)
    options = {"blocks": True} if task == "mlm" else {}
    arguments = Arguments(steps=4, batch=2, accumulate=2, lr=1e-3, save_every=2, cpu=True)
    made = make_task(task, options)
    result = train(made, data, tmp_path / "run", validation=validation, model=models[family], arguments=arguments)
    assert made.metric in result.scores
    losses = [line["loss"] for line in result.history if "loss" in line]
    assert len(losses) == 4 and all(0 < loss < 50 for loss in losses)
    loaded = load(tmp_path / "run", task=task, device="cpu")
    assert loaded.encoding.max_length == 128
    pairs = list(predict_examples(loaded.task, loaded.model, loaded.task.read(str(validation)), loaded.encoding))
    examples, predictions = zip(*pairs, strict=True)
    bare = [without_gold(example) for example in examples]  # what `longspan predict` reads
    again = predict_examples(loaded.task, loaded.model, bare, loaded.encoding)
    assert [prediction for _, prediction in again] == list(predictions)
    found = loaded.task.score(examples, predictions)
    assert found[made.metric] == pytest.approx(result.scores[made.metric], rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "problem"), [((0.5, 2.5), "regression"), ((["a", "b"], ["b"]), "multi_label_classification")]
)
def test_numbers_and_several_classes(labels, problem, models, tmp_path):
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps({"text": WORDS[i], "label": labels[i % 2]}) + "\n" for i in range(12)))
    arguments = Arguments(steps=2, batch=4, holdout=0.3, cpu=True)
    result = train("classify", data, tmp_path / "run", model=models["Longformer"], arguments=arguments)
    assert result.scores
    assert json.loads((tmp_path / "run" / "config.json").read_text())["problem_type"] == problem


def test_a_model_of_the_same_task_keeps_its_labels(models, tmp_path):
    data = write_rows("classify", tmp_path / "train.jsonl", 12)
    few = tmp_path / "few.jsonl"
    few.write_text(data.read_text().splitlines()[2] + "\n")
    arguments = Arguments(steps=1, batch=4, cpu=True)
    train("classify", data, tmp_path / "first", model=models["Longformer"], arguments=arguments)
    train("classify", few, tmp_path / "second", model=tmp_path / "first", arguments=arguments)
    labels = [json.loads((tmp_path / name / "config.json").read_text())["id2label"] for name in ("first", "second")]
    assert labels[0] == labels[1] and len(labels[0]) == 4
    unknown = tmp_path / "unknown.jsonl"
    unknown.write_text(few.read_text() + json.dumps({"text": "a", "label": "Atlantis"}) + "\n")
    with pytest.raises(ValueError, match=r"unknown.jsonl:2: .*Atlantis"):
        train("classify", unknown, tmp_path / "third", model=tmp_path / "first", arguments=arguments)


def test_masks_are_drawn_anew_each_epoch_and_again_after_a_resume(models, tmp_path):
    data = write_rows("mlm", tmp_path / "train.txt", 6)
    arguments = Arguments(steps=8, batch=4, lr=1e-3, save_every=3, cpu=True)

    def interrupt(doing, done, total, figures):
        if doing == "train" and done == 5:
            raise KeyboardInterrupt

    def run(out, **keywords):
        return train("mlm", data, tmp_path / out, model=models["Nystromformer"], arguments=arguments, **keywords)

    straight = run("straight")
    with pytest.raises(KeyboardInterrupt):
        run("stopped", on_progress=interrupt)
    stopped = run("stopped")
    assert stopped.resumed == 3
    assert (tmp_path / "straight" / "model.safetensors").read_bytes() == (
        tmp_path / "stopped" / "model.safetensors"
    ).read_bytes()
    assert stopped.loss == straight.loss
