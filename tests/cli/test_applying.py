"""`longspan answer`, `classify`, `fill`, `embed`, `evaluate` and `predict` through tiny random models."""

import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

from longspan.cli.main import app
from longspan.predict import Embedder, evaluate, fill
from tests.predict.fakes import WORDS, save_checkpoint

LONG = f"{WORDS}\r\n{WORDS} é 😀 {WORDS}"


def run(*arguments, **kwargs):
    result = CliRunner().invoke(app, [str(a) for a in arguments], **kwargs)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines(result):
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def mlm(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("mlm"))


@pytest.fixture(scope="module")
def squad(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("squad"), head="ForQuestionAnswering")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    names = ["bad", "good", "so so"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    return save_checkpoint(tmp_path_factory.mktemp("classifier"), head="ForSequenceClassification", **labels)


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(LONG.encode())
    return path


def test_fill_as_json_is_what_the_function_says(mlm, tmp_path):
    text = f"{WORDS} <mask>\r\n{WORDS} <mask> {WORDS}"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (found,) = lines(run("fill", tmp_path / "a.txt", "--model", mlm, "--top-k", 2, "--json", "--device", "cpu"))
    assert list(found) == ["file", "characters", "gaps"]
    assert found["characters"] == len(text) and len(found["gaps"]) == 2
    for gap, expected in zip(found["gaps"], fill(mlm, text, top_k=2, device="cpu"), strict=True):
        assert text[gap["start"] : gap["end"]] == "<mask>" and list(gap) == ["start", "end", "candidates"]
        assert [c["token"] for c in gap["candidates"]] == [c.token for c in expected.candidates]


def test_fill_shows_candidates_and_places(mlm):
    result = run("fill", "--model", mlm, input="the <mask> may assign")
    assert result.exit_code == 0 and "Candidates" in result.stdout and "4-10" in result.stdout
    assert "%" in result.stdout


def test_fill_without_a_gap_names_the_file_and_goes_on(mlm, tmp_path):
    (tmp_path / "a.txt").write_text("no gap")
    (tmp_path / "b.txt").write_text("a <mask>")
    result = run("fill", tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt", "--model", mlm, "--json")
    assert result.exit_code == 1 and len(result.stdout.splitlines()) == 1
    errors = result.stderr.replace("\n", " ")
    assert f"{tmp_path / 'a.txt'}: the text holds no <mask>" in errors
    assert f"{tmp_path / 'c.txt'}: No such file" in errors


def test_embed_writes_an_array_or_lines(mlm, document, tmp_path):
    (tmp_path / "b.txt").write_text("a buyer")
    expected = Embedder.from_pretrained(mlm, device="cpu", normalize=True)([LONG, "a buyer"])
    files = ["embed", document, tmp_path / "b.txt", "--model", mlm, "--normalize"]
    assert run(*files, "--out", tmp_path / "v.npy").exit_code == 0
    assert np.allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-6)
    (told,) = lines(run(*files, "--out", tmp_path / "v.jsonl", "--json"))
    assert told == {"file": str(tmp_path / "v.jsonl"), "vectors": 2}
    printed = lines(run(*files))
    assert printed == [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [line["file"] for line in printed] == [str(document), str(tmp_path / "b.txt")]
    assert np.allclose([line["vector"] for line in printed], expected, atol=1e-6)
    assert not [name for name in os.listdir(tmp_path) if ".writing" in name]


def test_embed_saves_a_model_without_files(mlm, tmp_path):
    result = run("embed", "--model", mlm, "--save", tmp_path / "model", "--pooling", "cls")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "model" / "1_Pooling" / "config.json").read_text())["pooling_mode_cls_token"] is True
    again = run("embed", "--model", mlm, "--save", tmp_path / "model")
    assert again.exit_code == 1 and "is there already" in again.stderr


def test_embed_writes_no_array_that_lacks_a_row(mlm, document, tmp_path):
    result = run("embed", document, tmp_path / "none.txt", "--model", mlm, "--out", tmp_path / "v.npy")
    assert result.exit_code == 1 and "none.txt: No such file" in result.stderr.replace("\n", "")
    assert not (tmp_path / "v.npy").exists() and "v.npy: not written" in result.stderr.replace("\n", "")


def test_answer_quotes_the_text_at_its_offsets(squad, document):
    result = run(
        *("answer", document, "--model", squad, "-q", "who may assign?", "-q", "to whom?", "--top-k", 3, "--json")
    )
    (found,) = lines(result)
    assert [reply["question"] for reply in found["answers"]] == ["who may assign?", "to whom?"]
    for reply in found["answers"]:
        assert list(reply) == ["question", "answer", "no_answer", "candidates"]
        assert 1 <= len(reply["candidates"]) <= 3
        for span in reply["candidates"]:
            assert LONG[span["start"] : span["end"]] == span["text"] != ""
        assert reply["answer"] in (None, reply["candidates"][0])


def test_answer_shows_questions(squad, document):
    result = run("answer", document, "--model", squad, "--question", "who?")
    assert result.exit_code == 0 and "who?" in result.stdout and "Answer" in result.stdout


def test_classify_gives_probabilities_of_all_windows(classifier, document):
    (found,) = lines(run("classify", document, "--model", classifier, "--json"))
    assert list(found) == ["file", "characters", "labels", "scores", "value", "windows"]
    assert found["windows"] > 1 and sum(found["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert found["labels"] == [max(found["scores"], key=found["scores"].get)] and found["value"] is None
    shown = run("classify", document, "--model", classifier).stdout
    assert found["labels"][0] in shown and "windows" in shown


@pytest.mark.parametrize("command", ["answer", "classify", "fill", "embed"])
def test_a_blank_file_is_an_error_and_the_others_are_done(command, mlm, squad, classifier, tmp_path):
    blank, other = tmp_path / "blank.txt", tmp_path / "other.txt"
    blank.write_text(" \n\n")
    other.write_text("the buyer pays <mask>")
    asked = ["-q", "who?"] if command == "answer" else []
    checkpoint = {"answer": squad, "classify": classifier}.get(command, mlm)
    result = run(command, blank, other, *asked, "--model", checkpoint, "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["file"] == str(other)
    assert f"{blank}: there is no text in it" in result.stderr.replace("\n", "")


def test_embed_writes_the_vectors_of_the_other_files(mlm, document, tmp_path):
    result = run("embed", document, tmp_path / "missing.txt", "--model", mlm, "--out", tmp_path / "v.jsonl")
    assert result.exit_code == 1 and "1 vectors" in result.stdout
    assert json.loads((tmp_path / "v.jsonl").read_text())["file"] == str(document)


ROWS = [{"text": WORDS, "label": "good"}, {"text": "a buyer", "label": "bad"}, {"text": LONG, "label": "so so"}]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_evaluate_prints_the_tasks_scores(classifier, tmp_path):
    data = write_rows(tmp_path / "data.jsonl", ROWS)
    found = json.loads(run("evaluate", classifier, data, "--json").stdout)
    expected = evaluate(classifier, data)
    assert found["scores"] == pytest.approx(expected.scores) and found["metric"] == expected.metric
    assert (found["rows"], found["skipped"], found["task"]) == (3, 0, "classify")
    shown = run("evaluate", classifier, data)
    assert found["metric"] in shown.stdout and f"{found['scores'][found['metric']]:.4f}" in shown.stdout


def test_columns_of_other_names(classifier, tmp_path):
    data = write_rows(tmp_path / "data.jsonl", ROWS)
    other = write_rows(
        tmp_path / "other.jsonl", [{"review" if k == "text" else k: v for k, v in row.items()} for row in ROWS]
    )
    expected = json.loads(run("evaluate", classifier, data, "--json").stdout)["scores"]
    found = json.loads(run("evaluate", classifier, other, "--option", "text=review", "--json").stdout)["scores"]
    assert found == pytest.approx(expected)
    out = tmp_path / "out.jsonl"
    assert run("predict", classifier, other, "--option", "text=review", "--out", out).exit_code == 0 and out.exists()
    wrong = run("evaluate", classifier, other, "--option", "colour=red")
    assert wrong.exit_code == 2 and "there is no 'colour'; there are problem, labels, text" in " ".join(
        wrong.stderr.replace("│", " ").split()
    )


def test_predict_writes_lines_in_input_order(classifier, tmp_path):
    data, out = write_rows(tmp_path / "data.jsonl", ROWS), tmp_path / "out.jsonl"
    told = json.loads(run("predict", classifier, data, "--out", out, "--json").stdout)
    assert told == {"file": str(out), "rows": 3, "skipped": 0}
    assert len(out.read_text().splitlines()) == 3


def test_bad_rows_end_the_command_or_are_counted(classifier, tmp_path):
    data = write_rows(tmp_path / "data.jsonl", [*ROWS, {"text": "a", "label": "poetry"}])
    result = run("evaluate", classifier, data, "--json")
    assert result.exit_code == 1 and result.stdout == ""
    assert f"{data}:4: " in result.stderr.replace("\n", "") and "poetry" in result.stderr
    result = run("evaluate", classifier, data, "--json", "--skip-bad")
    assert json.loads(result.stdout)["skipped"] == 1 and f"left out {data}:4" in result.stderr.replace("\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("answer", "FILE", "-q", "who?", "--model", "MLM"),
        ("classify", "FILE", "--model", "MLM"),
        ("fill", "FILE", "--model", "SQUAD"),
    ],
    ids=lambda a: a[0],
)
def test_a_checkpoint_of_another_task_is_named(arguments, mlm, squad, document):
    names = {"FILE": document, "MLM": mlm, "SQUAD": squad}
    result = run(*(names.get(a, a) for a in arguments))
    assert result.exit_code == 1 and result.stdout == ""
    assert f"is a checkpoint for the task '{'mlm' if 'MLM' in arguments else 'answer'}'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("evaluate", "/no/such/model", "data"), 1, "'/no/such/model' is no directory, and no hub id either"),
        (("evaluate", "MLM", "/no/such/data"), 1, "/no/such/data"),
        (("predict", "MLM", "FILE"), 2, "--out"),
        (("predict", "MLM", "FILE", "--out", "/no/such/folder/out.jsonl"), 1, "/no/such/folder/out.jsonl"),
        (("predict", "MLM", "FILE", "--out", "FILE"), 1, "it would be replaced"),
        (("embed", "FILE", "--model", "MLM", "--out", "v.txt"), 2, "must end in .npy or .jsonl"),
        (("embed", "FILE", "--model", "MLM", "--out", "/no/such/v.npy"), 2, "is not in a folder that exists"),
        (("embed", "FILE", "--model", "MLM", "--pooling", "max"), 2, "max"),
        (("embed", "FILE", "--model", "MLM", "--max-length", "63"), 1, "must be from 1 to 62 tokens, got 63"),
        (("fill", "FILE", "--model", "MLM", "--encoding", "klingon"), 2, "there is no encoding 'klingon'"),
        (("fill", "FILE", "--model", "MLM", "--device", "abacus"), 1, "abacus"),
        (("answer", "FILE", "--model", "SQUAD"), 2, "--question"),
        (("fill", "FILE"), 2, "--model"),
    ],
    ids=lambda a: " ".join(a)[:40] if isinstance(a, tuple) else None,
)
def test_wrong_calls_give_one_line_and_no_traceback(arguments, code, message, mlm, squad, document):
    names = {"FILE": document, "MLM": mlm, "SQUAD": squad}
    result = run(*(names.get(a, a) for a in arguments))
    assert result.exit_code == code and result.stdout == ""
    flat = " ".join(result.stderr.replace("│", " ").split())
    assert message in flat and "Traceback" not in flat


@pytest.mark.parametrize("command", ["answer", "classify", "fill", "embed", "evaluate", "predict"])
def test_every_command_explains_itself(command):
    result = run(command, "--help")
    assert result.exit_code == 0 and "Exit codes" in result.stdout
