"""The speeds and sizes on the first page are those of the committed results."""

import re
from pathlib import Path

import pytest

from benchmarks.bars import BARS
from benchmarks.report import ORDER, headline
from benchmarks.results import RESULTS, load

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## How fast it is")[1].split("\n## ")[0]
# what the contract model needs is printed by the command that stands beside it
PROSE = re.sub(r"The\s+contract model.*?copies 40`\.", "", SECTION.split("\n- ", 1)[1], flags=re.DOTALL)
ROBERTA = [bar.key for bar in BARS if re.fullmatch(r"short\.\w+\.\d+\.roberta", bar.key)]
NUMBER = r"(\d+\.\d+)"
CLAIMS = [
    (rf"16 to 1,024 tokens take {NUMBER} to", min, ROBERTA),
    (rf"16 to 1,024 tokens take {NUMBER[1:-1]} to {NUMBER} of the time of RoBERTa", max, ROBERTA),
    (rf"64, 512 and 4,096 tokens in one padded batch take {NUMBER} times their sum", max, ["ragged.longformer"]),
    (rf"131,072 tokens in one pass in {NUMBER} GB", max, ["long.longformer.memory"]),
    (rf"two layers read 1,048,576 in {NUMBER} GB", max, ["million.longformer.memory"]),
    (rf"attention alone is then {NUMBER} times faster than `transformers`", max, ["attention.cpp_chunks"]),
    (rf"a bfloat16 model {NUMBER} times faster than theirs in float32", max, ["forward.cpp_bfloat16"]),
]


def measures():
    results = load(RESULTS, ORDER).values()
    return {key: value["median"] for r in results for key, value in r["measures"].items() if "median" in value}


def found(pattern):
    return re.search(pattern.replace(" ", r"\s+"), PROSE)


def test_the_table_is_that_of_the_results():
    rows = [line for line in SECTION.splitlines() if line.startswith("|")]
    assert rows == headline(load(RESULTS, ORDER)), "copy the first table of benchmarks/results/README.md"


@pytest.mark.parametrize(("pattern", "choose", "keys"), CLAIMS)
def test_a_figure_in_the_text_is_that_of_the_results(pattern, choose, keys):
    told = found(pattern)
    assert told, f"the first page no longer says {pattern!r}: change the claim here too"
    value = choose(measures()[key] for key in keys)
    places = len(told[1].partition(".")[2])
    assert abs(float(told[1]) - value) <= 0.5 * 10**-places + 1e-9, f"{told[0]!r}, but measured was {value:.4g}"


def test_every_figure_in_the_text_is_a_claim():
    known = {found(pattern).start(1) for pattern, _, _ in CLAIMS}
    assert {match.start() for match in re.finditer(NUMBER, PROSE)} == known
