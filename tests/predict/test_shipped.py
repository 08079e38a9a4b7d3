"""The contract model that ships: small enough, complete, and right about the demo contract."""

import json
from importlib.resources import files

import pytest
import torch

from longspan.predict.tag import Tagger
from longspan.tasks.cuad import CATEGORIES, part_of

FOLDER = files("longspan") / "pretrained" / "contracts"
TEXT = (FOLDER / "demo_contract.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tagger():
    return Tagger.from_pretrained(None)


@pytest.fixture(scope="module")
def result(tagger):
    return tagger(TEXT)


def test_weights_and_tokenizer_take_at_most_8_mb():
    sizes = [(FOLDER / name).stat().st_size for name in ("model.safetensors", "tokenizer.json")]
    assert sum(sizes) <= 8_000_000


def test_it_knows_the_twelve_categories_at_any_length(tagger):
    assert set(tagger.categories) == set(CATEGORIES) == set(tagger.rules)
    assert tagger.max_tokens is None
    assert tagger.model.dtype == torch.float32
    assert tagger.tokenizer.model_max_length > 10**6


def test_the_demo_contract_is_long_and_held_out():
    assert 10_000 <= len(TEXT.split()) <= 20_000
    name = "TomOnlineInc_20060501_20-F_EX-4.46_749700_EX-4.46_Co-Branding Agreement.txt"
    assert part_of(name) == "test"


def test_it_finds_the_governing_law_of_the_demo_contract(result):
    (law,) = [p for p in result.passages if p.category == "Governing Law"]
    assert "governed by and construed in accordance with the laws of England and Wales" in TEXT[law.start : law.end]


def test_it_finds_most_kinds_of_passages_in_the_demo_contract(result):
    found = {p.category for p in result.passages}
    assert {"Parties", "Document Name", "Agreement Date", "License Grant", "Anti-Assignment", "Audit Rights"} <= found
    parties = [TEXT[p.start : p.end] for p in result.passages if p.category == "Parties"]
    for name in (
        "Skype Communications, S.A.",
        "Skype Technologies, S.A.",
        "TOM Online (BVI) Limited",
        "TOM Online Inc.",
    ):
        assert any(name in party for party in parties), name


def test_the_card_states_what_the_results_say():
    results = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    test = results["test"]
    means = {name: test[name]["mean"]["f1"] for name in ("model", "sentences", "patterns")}
    assert means["model"] >= 0.58 and means["model"] > max(means["sentences"], means["patterns"])
    for category in [*CATEGORIES, "mean"]:
        row = next(line for line in card.splitlines() if line.strip("| *").lower().startswith(category.lower()))
        for name in ("model", "sentences", "patterns"):
            assert f"{test[name][category]['f1']:.3f}" in row
