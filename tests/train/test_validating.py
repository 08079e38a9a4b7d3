"""Validation: the scores of the examples, read anew each time and never held."""

import functools
import tracemalloc

from longspan.predict.loop import predict_examples
from longspan.train.sources import Sources
from longspan.train.validating import Validation
from tests.predict.fakes import fake_checkpoint


def validate(path, tell=lambda *told: None, skip_bad=False):
    loaded = fake_checkpoint()
    sources = Sources(str(path), str(path), None, skip_bad, 0.0, 0)
    return Validation(loaded.task, loaded.encoding, sources, 3, tell)(loaded.model)


def test_scores_are_those_of_the_task(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1 2=3\n7=8\n2=2\n")
    told = []
    assert validate(path, lambda *now: told.append(now)) == {"exact": 2 / 3, "rows": 3}
    assert told[-1] == ("evaluate", 3, 3, {})


def test_bad_rows_are_left_out(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1 2=3\nno numbers\n13=13\n4\n2=many\n2=2\n")
    assert validate(path, skip_bad=True) == {"exact": 1, "rows": 2}


def measure(path, rows):
    """The peak of what a validation holds, in bytes; a row is a text of 2,000 characters."""
    with path.open("w") as file:
        file.writelines(f"1 2 3 {' ' * 2000}4=10\n" for _ in range(rows))
    tracemalloc.start()
    try:
        assert validate(path)["rows"] == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_examples_are_not_held(tmp_path, monkeypatch):
    small = functools.partial(predict_examples, batch_tokens=64)  # so that what a buffer holds is little beside a file
    monkeypatch.setattr("longspan.train.validating.predict_examples", small)
    measure(tmp_path / "warm.txt", 20)
    few, many = (measure(tmp_path / f"{rows}.txt", rows) for rows in (500, 4000))
    # 3,500 rows are 7 MB of text; of each, one number is kept
    assert many - few < 400_000
