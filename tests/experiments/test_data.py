import json

import pytest

from experiments.data import SOURCES, SQUAD_TEST, SQUAD_VALIDATION, data_folder, prepare
from tests.experiments.small_data import write_data


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = write_data(tmp_path / "data")
    monkeypatch.setenv("LONGSPAN_DATA", str(folder))
    return folder


def ids(path):
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_hyperpartisan_has_another_split_for_each_seed(data, tmp_path):
    splits = []
    for seed in range(5):
        parts = prepare("hyperpartisan", tmp_path / "made", seed)
        found = [ids(path) for path in (parts.train, parts.validation, parts.test)]
        assert [len(part) for part in found] == [32, 4, 4]
        assert sorted(int(x) for part in found for x in part) == list(range(40))
        splits.append(tuple(found[2]))
    assert len(set(splits)) == 5
    again = prepare("hyperpartisan", tmp_path / "again", 4)
    assert tuple(ids(again.test)) == splits[4]


def test_squads_articles_are_split_whole_and_once(data, tmp_path):
    titles = []
    for seed in range(2):
        parts = prepare("squad-articles", tmp_path / str(seed), seed)
        found = [json.loads(p.read_text())["data"] for p in (parts.train, parts.validation, parts.test)]
        titles.append([[article["title"] for article in part] for part in found])
    assert titles[0] == titles[1]
    assert [len(part) for part in titles[0]] == [20 - SQUAD_VALIDATION - SQUAD_TEST, SQUAD_VALIDATION, SQUAD_TEST]
    assert len({title for part in titles[0] for title in part}) == 20
    assert all(len(article["paragraphs"]) == 2 for part in found for article in part)


def test_glues_files_are_unpacked_as_they_are(data, tmp_path):
    parts = prepare("rte", tmp_path / "made")
    assert parts.layout == "rte" and parts.validation is None
    assert len(parts.train.read_text().splitlines()) == 61 and len(parts.test.read_text().splitlines()) == 9


def test_an_unknown_name_and_missing_data_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=f"no experiment 'qqp'; there are {', '.join(SOURCES)}"):
        prepare("qqp", tmp_path)
    monkeypatch.setenv("LONGSPAN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"LONGSPAN_DATA must name .*nowhere"):
        data_folder()
