"""Every example runs, on little."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LONGSPAN_DATA", ROOT.parent / "shared" / "data"))


def run(example: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / example, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_example_has_a_test():
    assert {f.name for f in (ROOT / "examples").glob("*.py")} == {
        "pack_documents.py",
        "tag_contract.py",
        "finetune_classifier.py",
    }


def test_pack_documents():
    assert run("pack_documents.py").count("largest difference") == 3


def test_tag_contract(tmp_path):
    contract = tmp_path / "contract.txt"
    contract.write_text("This Agreement shall be governed by the laws of the State of Delaware. " * 3)
    shown = run("tag_contract.py", contract, tmp_path / "page.html")
    assert " passages, " in shown
    assert "governed by the laws" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_finetune_classifier(tmp_path):
    if not (DATA / "hyperpartisan").is_dir():
        pytest.skip(f"needs {DATA / 'hyperpartisan'}; set LONGSPAN_DATA")
    shown = run("finetune_classifier.py", "--steps", "2", "--length", "64", "--out", tmp_path / "run")
    assert "eval_accuracy" in shown
