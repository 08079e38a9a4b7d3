"""A checkpoint with its task: what the files say, what is guessed, what is refused."""

import json
import re
import shutil

import pytest

from longspan.predict.loading import (
    find_task,
    guess_task,
    load,
    load_encoding,
    load_model,
    longest_input,
    read_task_file,
    write_task_file,
)
from longspan.tasks.registry import TASKS, make_task
from tests.predict.fakes import Sum, save_checkpoint


@pytest.fixture(scope="module", params=["longformer", "nystromformer"])
def folder(request, tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), request.param)


def copy(folder, target, task=None, **config):
    shutil.copytree(folder, target)
    fields = json.loads((target / "config.json").read_text()) | config
    (target / "config.json").write_text(json.dumps(fields))
    if task is not None:
        (target / "longspan.json").write_text(task if isinstance(task, str) else json.dumps(task))
    return target


def test_a_masked_language_model_is_loaded_for_its_task(folder):
    loaded = load(folder, device="cpu")
    assert loaded.task.name == "mlm" and loaded.name == str(folder)
    assert type(loaded.model).__name__.endswith("ForMaskedLM") and not loaded.model.training
    assert (loaded.encoding.max_length, loaded.encoding.stride) == (62, 15)
    assert loaded.encoding.family == loaded.model.config.model_type


def test_a_task_file_is_written_and_read(tmp_path):
    write_task_file(tmp_path, Sum(factor=3), max_length=512)
    assert read_task_file(str(tmp_path)) == {
        "task": "sum",
        "options": {"factor": 3},
        "max_length": 512,
        "stride": 128,
    }
    write_task_file(tmp_path, Sum())
    assert "max_length" not in read_task_file(str(tmp_path))


def test_the_lengths_of_the_task_file_are_used_unless_others_are_given(folder, tmp_path):
    other = copy(folder, tmp_path / "model", {"task": "mlm", "max_length": 40, "stride": 4})
    config = load_model(str(other), "ForMaskedLM", "cpu").config
    encoding = load_encoding(str(other), config)
    assert (encoding.max_length, encoding.stride) == (40, 4)
    encoding = load_encoding(str(other), config, max_length=50, stride=7)
    assert (encoding.max_length, encoding.stride) == (50, 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "longspan.json of .* is not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"options": {}}', "longspan.json of .* must name its task"),
        ('{"task": "poetry"}', "there is no task 'poetry'; the tasks are classify"),
        ('{"task": "mlm", "options": {"rhyme": 1}}', "the task mlm has no option .rhyme.; there are whole_words"),
        ('{"task": "mlm", "max_length": "long"}', "max_length in longspan.json of .* must be a whole number"),
        ('{"task": "mlm", "max_length": 63}', "max_length must be from 1 to 62 tokens, got 63"),
    ],
)
def test_a_faulty_task_file_is_named(folder, tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        load(copy(folder, tmp_path / "model", content), device="cpu")


def test_another_task_than_wanted_is_refused(folder):
    with pytest.raises(ValueError, match=f"{re.escape(str(folder))} is a checkpoint for the task 'mlm', not for 'tag'"):
        load(folder, "tag")


@pytest.mark.parametrize("length", [0, -1, 63])
def test_a_length_beyond_the_model_is_refused(folder, length):
    with pytest.raises(ValueError, match=f"max_length must be from 1 to 62 tokens, got {length}"):
        load(folder, device="cpu", max_length=length)


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("LongformerForSequenceClassification", "classify"),
        ("NystromformerForMultipleChoice", "choose"),
        ("LongformerForTokenClassification", "tag"),
        ("LongformerForQuestionAnswering", "answer"),
        ("NystromformerForMaskedLM", "mlm"),
    ],
)
def test_the_architecture_says_the_task(architecture, task):
    assert guess_task("model", {"architectures": [architecture]}) == task


@pytest.mark.parametrize("architectures", [None, [], ["LongformerModel"]])
def test_a_bare_encoder_has_no_task(architectures):
    with pytest.raises(ValueError, match=r"model has no head for a task .* fine-tune it first"):
        guess_task("model", {"architectures": architectures})


def test_loading_prints_nothing(folder, capfd):
    """The head of the checkpoint is not used, which transformers would report."""
    load_model(str(folder), "Model", "cpu")
    assert capfd.readouterr() == ("", "")


def test_options_win_but_for_what_the_outputs_mean(folder, tmp_path):
    other = copy(folder, tmp_path / "model", {"task": "mlm", "options": {"whole_words": True, "seed": 3}})
    options = load(other, device="cpu", options={"whole_words": False}).task.options()
    assert options["whole_words"] is False and options["seed"] == 3
    with pytest.raises(ValueError, match=r"labels belong to the outputs of .*model, and cannot be given"):
        load(other, options={"labels": ["a", "b"]})
    assert find_task(str(other)) == "mlm"


def test_a_missing_head_is_named(folder, tmp_path):
    other = copy(folder, tmp_path / "model", {"task": "answer"})
    with pytest.raises(ValueError, match=r"lacks weights of .*ForQuestionAnswering \(qa_outputs.bias, qa_outputs"):
        load_model(str(other), "ForQuestionAnswering")


def test_what_is_no_checkpoint_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no directory"):
        load("/no/such/folder")
    with pytest.raises(ValueError, match="is a checkpoint of 'bert'; longspan reads longformer and nystromformer"):
        load(copy(folder, tmp_path / "model", model_type="bert"))


def test_a_model_with_periodic_positions_reads_any_length(tmp_path):
    folder = save_checkpoint(tmp_path, position_period=60)
    loaded = load(folder, device="cpu")
    assert (loaded.encoding.max_length, loaded.encoding.stride) == (None, 128)
    assert longest_input(loaded.model.config) is None
    assert load(folder, device="cpu", max_length=1000).encoding.max_length == 1000


def test_every_task_has_its_name():
    for name in TASKS:
        assert make_task(name).name == name
