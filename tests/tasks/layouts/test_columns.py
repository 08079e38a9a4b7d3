"""Texts by the columns of a table."""

import json

from longspan.tasks.layouts.columns import Columns, read_columns


def test_ids_of_rows(tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [{"id": 0}, {"id": "x"}, {"id": ""}, {"id": None}, {"id": [1]}, {}]
    file.write_text("".join(json.dumps({"text": "a"} | row) + "\n" for row in rows))
    ids = [example.id for example in read_columns(str(file), Columns())]
    assert ids == ["0", "x", *(f"{file}:{line}" for line in (3, 4, 5, 6))]


def test_class_names_of_a_data_set_are_labels(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).save_to_disk(tmp_path / "set")
    assert [example.label for example in read_columns(str(tmp_path / "set"), Columns())] == ["pos", "neg"]
