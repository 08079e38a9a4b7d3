"""Every Python block of the README and of the documentation runs, word for word.

The hub ids that they name resolve to tiny random checkpoints in a cache folder of the test's own, offline.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md"]
PAGES += [
    f"docs/{name}.md" for name in ("quickstart", "longformer", "nystromformer", "operations", "charlm", "tensorflow")
]
DATA = Path(os.environ.get("LONGSPAN_DATA", ROOT.parent / "shared" / "data"))
ALBERT = DATA / "tokenizer-fixtures" / "albert-30k-clean" / "30k-clean.model"

# Runs the blocks of one page one after the other, as a reader would, and says which one failed.
RUNNER = """
import json, sys, warnings
warnings.simplefilter("ignore", FutureWarning)
names = {"__name__": "__main__"}
for number, block in enumerate(json.load(sys.stdin)):
    try:
        exec(compile(block, f"<block {number}>", "exec"), names)
    except Exception as error:
        raise SystemExit(f"block {number} failed: {type(error).__name__}: {error}\\n{block}")
"""


def blocks_of(page: str) -> list[str]:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    # Keras is an extra
    return [x for x in blocks if "longspan.keras" not in x or importlib.util.find_spec("keras")]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub cache with both model families, as huggingface_hub lays it out."""
    import torch
    from tokenizers import ByteLevelBPETokenizer

    import longspan

    torch.manual_seed(0)
    cache = tmp_path_factory.mktemp("hub")

    def snapshot(name):
        folder = cache / f"models--{name.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("0" * 40)
        (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
        return folder / "snapshots" / ("0" * 40)

    folder = snapshot("allenai/longformer-base-4096")
    words = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(words, 500, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False)
    bpe.save_model(str(folder))
    config = longspan.LongformerConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        attention_window=[16, 32],
        max_position_embeddings=16_386,
        type_vocab_size=1,
    )
    longspan.LongformerForMaskedLM(config).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 16384}')

    folder = snapshot("uw-madison/nystromformer-512")
    config = longspan.NystromformerConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_landmarks=4,
        segment_means_seq_len=512,
    )
    longspan.NystromformerForMaskedLM(config).save_pretrained(folder)
    if ALBERT.is_file():
        (folder / "spiece.model").write_bytes(ALBERT.read_bytes())
    return cache


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_runs(page, hub, tmp_path):
    if page == "docs/nystromformer.md" and not ALBERT.is_file():
        pytest.skip(f"needs the ALBERT tokenizer in {ALBERT}; set LONGSPAN_DATA")
    if page == "docs/tensorflow.md" and importlib.util.find_spec("keras") is None:
        pytest.skip("needs Keras (extras tf, jax)")
    blocks = blocks_of(page)
    assert blocks
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(blocks),
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_readme_names_the_two_commands_and_the_versions():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^make demo ", text, flags=re.M) and re.search(r"^make test ", text, flags=re.M)
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for name in ("torch", "transformers"):
        pin = next(line for line in constraints if line.startswith(f"{name}=="))
        assert f"{name} {pin.partition('==')[2]}" in text


def test_links_inside_the_repository_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    broken = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert not broken


def test_constraints_are_plain_pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 50
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    assert not [pin for pin in pins if pin.lower().startswith(("nvidia", "cuda", "triton"))]
