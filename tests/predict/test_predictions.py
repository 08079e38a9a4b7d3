"""Predictions of a data set, and scores: checked first, in order, resumed, bad rows counted."""

import json
import os
import tracemalloc
from dataclasses import replace

import pytest

from longspan.predict.evaluation import evaluate
from longspan.predict.predictions import check_data, predict
from longspan.tasks.examples import DataError
from tests.predict.fakes import Echo, Sum, fake_checkpoint

ROWS = ["1 2 3 4 5=15", "7=7", "no numbers", "1 13=14", "2 2=5", "3=3"]
GOOD = [row for i, row in enumerate(ROWS) if i not in (2, 3)]


def write(path, rows):
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_line_a_row_in_input_order(tmp_path):
    told = []
    check = predict(
        fake_checkpoint(),
        write(tmp_path / "data.txt", GOOD),
        tmp_path / "out.jsonl",
        on_progress=lambda *at: told.append(at),
    )
    assert read(tmp_path / "out.jsonl") == [
        {"id": "1", "sum": 15.0, "windows": 2},
        {"id": "2", "sum": 7.0, "windows": 1},
        {"id": "3", "sum": 4.0, "windows": 1},
        {"id": "4", "sum": 3.0, "windows": 1},
    ]
    assert (check.rows, check.windows, check.bad) == (4, 5, set())
    assert told[-1] == (5, 5) and sorted(os.listdir(tmp_path)) == ["data.txt", "out.jsonl"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [(ROWS, "data.txt:3: 'no numbers' holds no numbers"), (ROWS[3:], "data.txt:1: 13 has no place")],
)
def test_a_bad_row_is_found_before_anything_is_run(tmp_path, rows, message):
    loaded = fake_checkpoint()
    with pytest.raises(DataError, match=message):
        predict(loaded, write(tmp_path / "data.txt", rows), tmp_path / "out.jsonl")
    assert not loaded.model.shapes and not (tmp_path / "out.jsonl").exists()


def test_bad_rows_are_left_out_and_counted(tmp_path):
    check = predict(fake_checkpoint(), write(tmp_path / "data.txt", ROWS), tmp_path / "out.jsonl", skip_bad=True)
    assert [line["id"] for line in read(tmp_path / "out.jsonl")] == ["1", "2", "5", "6"]
    assert check.bad == {3, 4} and check.rows == 4
    assert [str(fault.source).rpartition(":")[2] for fault in check.faults] == ["3", "4"]


def test_data_without_a_good_row_is_an_error(tmp_path):
    with pytest.raises(DataError, match="every row is bad"):
        predict(fake_checkpoint(), write(tmp_path / "data.txt", ROWS[2:4]), tmp_path / "out.jsonl", skip_bad=True)


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("skip_bad", [True, False])
@pytest.mark.parametrize("after", range(1, 5))
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch, after, skip_bad):
    monkeypatch.setattr("longspan.predict.loop.BUFFER", 1)
    data = write(tmp_path / "data.txt", ROWS if skip_bad else GOOD)
    whole = tmp_path / "whole.jsonl"
    predict(fake_checkpoint(), data, whole, skip_bad=skip_bad, batch_tokens=1)
    out = tmp_path / "out.jsonl"
    batches = []

    def stop(done, total):
        batches.append(done)
        if len(batches) == after:
            raise Interrupt

    with pytest.raises(Interrupt):
        predict(fake_checkpoint(), data, out, skip_bad=skip_bad, batch_tokens=1, on_progress=stop)
    assert not out.exists()
    written = len(read(tmp_path / "out.jsonl.partial"))
    loaded, told = fake_checkpoint(), []
    predict(loaded, data, out, skip_bad=skip_bad, batch_tokens=1, on_progress=lambda *at: told.append(at))
    assert out.read_bytes() == whole.read_bytes()
    expected = sum(line["windows"] for line in read(whole)[written:])
    assert len(loaded.model.shapes) == expected and told[-1] == (expected, expected)


class Neighbours(Echo):
    """Its scores depend on the batch, as rounding does."""

    def forward(self, input_ids, attention_mask):
        outputs = super().forward(input_ids, attention_mask)
        outputs.logits[..., 0] += len(input_ids) / 1024
        return outputs


@pytest.mark.parametrize("after", range(1, 9))
def test_a_resumed_run_makes_the_same_batches(tmp_path, monkeypatch, after):
    monkeypatch.setattr("longspan.predict.loop.BUFFER", 2)
    monkeypatch.setattr(
        Sum, "decode", lambda self, e, f, outputs: {"id": e.id, "sum": float(outputs[0]["logits"].sum())}
    )
    data = write(tmp_path / "data.txt", [" ".join("12345"[: 1 + i * 7 % 5]) for i in range(20)])
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"

    def checkpoint():
        return replace(fake_checkpoint(), model=Neighbours().eval())

    predict(checkpoint(), data, whole, batch_tokens=8)
    lines = whole.read_text().splitlines(keepends=True)
    assert len({json.loads(line)["sum"] % 1 for line in lines}) > 2
    batches = []

    def stop(done, total):
        batches.append(done)
        if len(batches) == after:
            raise Interrupt

    with pytest.raises(Interrupt):
        predict(checkpoint(), data, out, batch_tokens=8, on_progress=stop)
    # as a kill in the midst of a buffer leaves it
    count = len((tmp_path / "out.jsonl.partial").read_text().splitlines())
    (tmp_path / "out.jsonl.partial").write_text("".join(lines[: count + 1]) + lines[count + 1][:9])
    loaded = checkpoint()
    predict(loaded, data, out, batch_tokens=8)
    assert out.read_bytes() == whole.read_bytes()
    assert count == 0 or sum(rows for rows, _ in loaded.model.shapes) < 24  # of 24 windows


def test_a_run_that_had_only_to_be_renamed(tmp_path, monkeypatch):
    data, out = write(tmp_path / "data.txt", GOOD), tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(Interrupt))
        with pytest.raises(Interrupt):
            predict(fake_checkpoint(), data, out)
    loaded = fake_checkpoint()
    predict(loaded, data, out)
    assert len(read(out)) == 4 and not loaded.model.shapes


def test_other_options_or_data_start_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("longspan.predict.loop.BUFFER", 1)
    data, out = write(tmp_path / "data.txt", GOOD), tmp_path / "out.jsonl"

    def stop(done, total):
        if done > 2:
            raise Interrupt

    with pytest.raises(Interrupt):
        predict(fake_checkpoint(), data, out, batch_tokens=1, on_progress=stop)
    assert read(tmp_path / "out.jsonl.partial")
    predict(fake_checkpoint(factor=2), data, out)
    assert [line["sum"] for line in read(out)] == [30, 14, 8, 6]
    write(data, GOOD[1:])
    predict(fake_checkpoint(factor=2), data, out)
    assert [line["sum"] for line in read(out)] == [14, 8, 6]


def test_the_data_is_never_replaced(tmp_path):
    data = write(tmp_path / "data.txt", GOOD)
    with pytest.raises(ValueError, match="is the data to read: it would be replaced"):
        predict(fake_checkpoint(), data, data)
    assert data.read_text().splitlines() == GOOD


def test_a_loaded_checkpoint_has_its_lengths():
    with pytest.raises(ValueError, match="the checkpoint is loaded"):
        predict(fake_checkpoint(), "data", "out", max_length=3)


@pytest.mark.parametrize("out", [None, "out.jsonl"])
def test_scores_are_those_of_the_task(tmp_path, out):
    out = out and tmp_path / out
    found = evaluate(fake_checkpoint(), write(tmp_path / "data.txt", ROWS), out, skip_bad=True)
    assert found.scores == {"exact": 0.75, "rows": 4.0}
    assert (found.task, found.metric, found.rows, found.skipped, len(found.faults)) == ("sum", "exact", 4, 2, 2)
    assert out is None or len(read(out)) == 4


def test_a_row_without_a_label_is_found_before_anything_is_run(tmp_path):
    loaded = fake_checkpoint()
    data = write(tmp_path / "data.txt", ["1=1", "2"])
    with pytest.raises(DataError, match=r"data\.txt:2: the row has no label to evaluate against"):
        evaluate(loaded, data)
    assert not loaded.model.shapes
    found = evaluate(loaded, data, skip_bad=True)
    assert found.scores["rows"] == 1 and found.skipped == 1


def test_checking_runs_nothing_and_reads_each_row_once(tmp_path):
    loaded = fake_checkpoint()
    check = check_data(loaded, write(tmp_path / "data.txt", GOOD))
    assert (check.rows, check.windows) == (4, 5)
    assert loaded.task.encoded == 4 and not loaded.model.shapes


def test_labels_are_of_no_matter_to_predictions(tmp_path):
    """A label that the model does not know, or none at all: the row is predicted as any other."""
    out = tmp_path / "out.jsonl"
    predict(fake_checkpoint(), write(tmp_path / "data.txt", ["1 2=many", "7", "3=3"]), out)
    assert [line["sum"] for line in read(out)] == [3, 7, 3]
    with pytest.raises(DataError, match=r"data\.txt:1: unknown label 'many'"):
        evaluate(fake_checkpoint(), tmp_path / "data.txt")
    found = evaluate(fake_checkpoint(), tmp_path / "data.txt", skip_bad=True)
    assert (found.rows, found.skipped) == (1, 2)


def measure(path, rows, out):
    """The peak of what an evaluation holds, in bytes; a row is a text of 2,000 characters."""
    with path.open("w") as file:
        file.writelines(f"1 2 3 {' ' * 2000}4=10\n" for _ in range(rows))
    tracemalloc.start()
    try:
        assert evaluate(fake_checkpoint(), path, out, batch_tokens=64).scores["rows"] == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("out", [None, "out.jsonl"])
def test_an_evaluation_does_not_hold_its_data(tmp_path, out):
    target = out and tmp_path / out
    measure(tmp_path / "warm.txt", 20, target)
    few, many = (measure(tmp_path / f"{rows}.txt", rows, target) for rows in (500, 4000))
    # 3,500 rows are 7 MB of text; of each, one number is kept
    assert many - few < 400_000
