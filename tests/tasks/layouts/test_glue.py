"""GLUE's files: a few rows of each task's form, and the published files where they are."""

import tarfile

import pytest

from longspan.tasks.classify import Classify
from longspan.tasks.examples import BadRow, DataError
from tests.models.tokenizer_texts import DATA

ARCHIVE = DATA / "glue.tar.xz"

FILES = {
    "cola": (
        "ab01\t1\t\tA rule holds.\nab02\t0\t*\tRule a hold.\n",
        [("A rule holds.", None, "1"), ("Rule a hold.", None, "0")],
    ),
    "mrpc": (
        '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t5\t6\t" Yes , " he said .\tHe agreed .\n',
        [('" Yes , " he said .', "He agreed .", "1")],
    ),
    "rte": (
        "index\tsentence1\tsentence2\tlabel\n4\tIt rained.\tIt is wet.\tentailment\n",
        [("It rained.", "It is wet.", "entailment")],
    ),
    "sst-2": ("sentence\tlabel\na fine film \t1\n", [("a fine film ", None, "1")]),
    "sts-b": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tnews\tx\t2012\t1\tnone\tnone\tA man sings.\tA man hums.\t3.800\n",
        [("A man sings.", "A man hums.", "3.800")],
    ),
    "wnli": ("index\tsentence1\tsentence2\tlabel\n0\tIt fell.\tA cup fell.\t0\n", [("It fell.", "A cup fell.", "0")]),
}


@pytest.mark.parametrize("layout", FILES)
def test_rows_of_each_task(tmp_path, layout):
    text, expected = FILES[layout]
    file = tmp_path / "train.tsv"
    file.write_bytes(text.encode().replace(b"\n", b"\r\n"))
    for name in (layout, None):
        found = list(Classify().read(str(file), name))
        assert [(e.text, e.text_pair, e.label) for e in found] == expected
    assert next(iter(Classify().read(str(file), layout))).id == {"rte": "4", "sts-b": "0", "wnli": "0"}.get(
        layout, f"{file}:{1 if layout == 'cola' else 2}"
    )


def test_the_wrong_layout_is_refused(tmp_path):
    file = tmp_path / "train.tsv"
    file.write_text(FILES["rte"][0])
    with pytest.raises(DataError, match="no column '#1 String', '#2 String'; there are: 'index', 'sentence1'"):
        list(Classify().read(str(file), "mrpc"))


def test_a_table_that_looks_alike_is_no_layout(tmp_path):
    """Its own column of labels was passed over, and another one learnt."""
    file = tmp_path / "my.tsv"
    file.write_text("index\tsentence1\tsentence2\tlabel\tgold\n4\tIt rained.\tIt is wet.\tx\ty\n")
    with pytest.raises(DataError, match=r"no column 'text'; there are: 'index', .*'gold'"):
        list(Classify().read(str(file)))
    assert [e.label for e in Classify(text="sentence1", label="gold").read(str(file))] == ["y"]


@pytest.mark.parametrize("chosen", [{"text": "sentence2"}, {"text_pair": "sentence1"}, {"label": "index"}])
def test_columns_that_are_chosen_win_over_a_layout_that_is_guessed(tmp_path, chosen):
    file = tmp_path / "train.tsv"
    file.write_text(FILES["rte"][0] + METRICS["rte"][0])
    if "text" in chosen:
        assert {(e.text, e.text_pair) for e in Classify(**chosen).read(str(file))} == {
            ("It is wet.", None),
            ("It is dry.", None),
        }
    else:
        with pytest.raises(DataError, match="no column 'text'"):
            list(Classify(**chosen).read(str(file)))
    told = Classify(**chosen)
    with pytest.raises(DataError, match=r"train\.tsv: the layout rte has columns of its own, \w+=\w+ is for a table"):
        told.learn(told.read(str(file), "rte"))


SIZES = {  # rows of train, dev and test
    "CoLA": (8551, 1043, 1063),
    "MRPC": (3667, 408, 1725),
    "RTE": (2490, 277, 3000),
    "SST-2": (67349, 872, 1821),
    "STS-B": (5749, 1500, 1379),
    "WNLI": (635, 71, 146),
}


@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"no {ARCHIVE}; set LONGSPAN_DATA to the data folder")
@pytest.mark.parametrize("task", SIZES)
def test_published_files_are_read_whole(tmp_path_factory, task):
    folder = tmp_path_factory.getbasetemp() / "glue"
    if not folder.exists():
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
    sizes = []
    for split in ("train", "dev", "test"):
        classify = Classify()
        found = list(classify.read(str(folder / task / f"{split}.tsv")))
        assert not [row for row in found if isinstance(row, BadRow)]
        assert found == list(classify.read(str(folder / task / f"{split}.tsv"), task.lower()))
        sizes.append(len(found))
        if split == "test":
            assert {example.label for example in found} == {None}
        else:
            classify.learn(found)
            assert classify.problem == ("regression" if task == "STS-B" else "single")
            expected = {"RTE": ["entailment", "not_entailment"], "STS-B": []}.get(task, ["0", "1"])
            assert classify.labels == expected
    assert tuple(sizes) == SIZES[task]


# A second row of each task with another label, and the score that is reported of the task.
METRICS = {
    "cola": ("ab03\t1\t\tAnother holds.\n", "matthews"),
    "mrpc": ("0\t7\t8\tHe left .\tHe came .\n", "f1"),
    "rte": ("5\tIt rained.\tIt is dry.\tnot_entailment\n", "accuracy"),
    "sst-2": ("a dull film \t0\n", "accuracy"),
    "sts-b": ("1\tnews\tx\t2012\t2\tnone\tnone\tA cat.\tA man hums.\t0.250\n", "spearman"),
    "wnli": ("1\tIt fell.\tA dog fell.\t1\n", "accuracy"),
}


@pytest.mark.parametrize("layout", METRICS)
def test_each_task_has_its_metric_unless_another_is_given(tmp_path, layout):
    row, metric = METRICS[layout]
    file = tmp_path / "train.tsv"
    file.write_text(FILES[layout][0] + row)
    other = "mse" if layout == "sts-b" else "f1_macro"
    for given, expected in ((None, metric), (other, other)):
        task = Classify(metric=given)
        task.learn(task.read(str(file), layout))
        assert task.metric == expected
        assert Classify(**task.options()).metric == expected


def test_three_classes_have_no_f1_of_the_second(tmp_path):
    file = tmp_path / "train.tsv"
    row, _ = METRICS["mrpc"]
    file.write_text(FILES["mrpc"][0] + row + row.replace("0", "2", 1))
    task = Classify()
    task.learn(task.read(str(file), "mrpc"))
    assert task.metric == "accuracy"
