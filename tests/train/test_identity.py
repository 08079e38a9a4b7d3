"""What makes a run another one: files count by what they hold."""

import json
from pathlib import Path

import pytest

from longspan.train.arguments import Arguments
from longspan.train.building import Start
from longspan.train.identity import DifferentRun, check_same, complete, describe
from longspan.train.sources import Sources
from tests.train.parity import Parity


@pytest.fixture
def place(tmp_path):
    for name in ("data", "model", "tokenizer"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "train.txt").write_text("one\n")
    (tmp_path / "validation.txt").write_text("two\n")
    (tmp_path / "model" / "model.safetensors").write_text("old")
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("old")
    return tmp_path


def described(place):
    sources = Sources(str(place / "data"), str(place / "validation.txt"), None, False, 0.0, 0)
    start = Start(model=str(place / "model"), tokenizer=str(place / "tokenizer"))
    return json.loads(json.dumps(describe(Parity(), sources, start, Arguments(), 1)))


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("data/train.txt", "two\n", "data"),
        ("validation.txt", "one\n", "validation"),
        ("model/model.safetensors", "new", "files of the model"),
        ("tokenizer/tokenizer.json", "new", "files of the tokenizer"),
    ],
)
def test_other_content_of_the_same_size_is_another_run(place, file, content, name):
    before = described(place)
    check_same(Path("out"), before, described(place))
    (place / file).write_text(content)
    with pytest.raises(DifferentRun, match=rf"run with other arguments: {name} was .* bytes, SHA-256 .*, is .*"):
        check_same(Path("out"), before, described(place))


def test_what_a_model_is_not_made_of_does_not_count(place):
    before = described(place)
    (place / "model" / "record.json").write_text("{}")
    (place / "model" / "training").mkdir()
    (place / "model" / "training" / "result.json").write_text("{}")
    check_same(Path("out"), before, described(place))


def test_a_run_of_an_earlier_version_knew_less_of_its_files(place):
    before = described(place)
    for name in ("data", "validation"):
        del before[name]["sha256"]
    for name in ("model", "tokenizer"):
        del before[f"files of the {name}"]
    now = described(place)
    check_same(Path("out"), complete(before, now), now)
    (place / "validation.txt").write_text("longer\n")
    now = described(place)
    with pytest.raises(DifferentRun, match=r"validation was .*4 bytes.*7 bytes"):
        check_same(Path("out"), complete(before, now), now)
