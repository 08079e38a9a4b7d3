"""The Python blocks of docs/applying.md run, word for word, with tiny checkpoints under the names that they use."""

import json
import re
from pathlib import Path

import pytest

from tests.predict.fakes import save_checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "applying.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    names = {"imdb": "ForSequenceClassification", "squad": "ForQuestionAnswering", "mlm": "ForMaskedLM"}
    for name, head in names.items():
        (folder / "runs" / name).mkdir(parents=True)
        config = {"id2label": {0: "neg", 1: "pos"}, "label2id": {"neg": 0, "pos": 1}} if name == "imdb" else {}
        save_checkpoint(folder / "runs" / name, head=head, positions=2050, **config)
    rows = [json.dumps({"text": "a fine film", "label": "pos"}), json.dumps({"text": "a bad one", "label": "neg"})]
    for name in ("test.jsonl", "new.jsonl"):
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.findall(r"import (\w+)", block)[0])
def test_a_block_runs(block, folder, monkeypatch, capsys):
    if "sentence_transformers" in block:
        pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")
    monkeypatch.chdir(folder)
    exec(compile(block, str(PAGE), "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip() or (folder / "labels.jsonl").exists()


def test_there_are_blocks():
    assert len(BLOCKS) >= 3
