"""Ratios and goals of a GPU run, from rows that somebody timed."""

import pytest

from benchmarks.gpu_goals import GOALS, goals_table, judge, ratio, ratios, ratios_table
from benchmarks.gpu_parts import BACKENDS, ours
from benchmarks.window_operations import CHUNKS, FLEX

LENGTHS = (4096, 32_768)


def row(part, tokens, name, median, share=None):
    found = {"part": part, "tokens": tokens, "name": name, "error": 0.0}
    found["seconds"] = {"median": median, "low": median * 0.9, "high": median * 1.25}
    return found if share is None else {**found, "fraction_of_matrix_rate": share}


def run(chunks=8.0, flex=1.0, share=0.5):
    """Every backend takes a second, and the peers so many."""
    rows = []
    for part in ("attention", "attention, one global token"):
        for tokens in LENGTHS:
            rows += [row(part, tokens, ours(backend), 1.0, share) for backend in BACKENDS]
            rows += [row(part, tokens, CHUNKS, chunks), row(part, tokens, FLEX, flex)]
    return rows


def verdicts(rows):
    judged = judge(rows, LENGTHS)
    assert [(goal["goal"], goal["backend"]) for goal in judged] == [(g.what, b) for g in GOALS for b in BACKENDS]
    return [judged[number * len(BACKENDS)]["reached"] for number in range(len(GOALS))]


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ({}, [True, True, True, True]),
        ({"chunks": 7.9}, [False, True, True, True]),
        ({"flex": 0.99}, [True, False, False, True]),
        ({"share": 0.49}, [True, True, True, False]),
    ],
)
def test_a_goal_is_reached_by_its_limit(peers, expected):
    assert verdicts(run(**peers)) == expected


def test_one_length_below_misses_and_one_without_a_speed_leaves_it_open():
    rows = run()
    flex = [r for r in rows if r["name"] == FLEX]
    flex[0]["skipped"] = "out of memory"
    assert verdicts(rows) == [True, None, True, True]
    flex[1]["seconds"]["median"] = 0.5
    assert verdicts(rows) == [True, False, True, True]
    assert judge(rows, LENGTHS)[len(BACKENDS)]["value"]["median"] == 0.5
    assert verdicts([]) == [None] * 4


def test_ratios_have_the_quartiles_of_both():
    found = ratio(row("p", 8, "ours", 2.0), row("p", 8, "theirs", 6.0))
    assert found == pytest.approx({"median": 3.0, "low": 5.4 / 2.5, "high": 7.5 / 1.8})
    rows = run()
    table = "\n".join(ratios_table(ratios(rows)))
    assert f"| {CHUNKS} | 4,096 | attention | 8.00 (5.76 to 11.1) |" in table
    assert len(ratios(rows)) == 8


def test_the_table_of_goals_names_reached_missed_and_unmeasured():
    rows = run(flex=0.9)
    next(r for r in rows if r["name"] == CHUNKS and "one" in r["part"])["skipped"] = "broke"
    lines = goals_table(judge(rows, LENGTHS))
    assert lines[2].endswith("| 8 | flash_varlen |  | not measured |")
    assert lines[5].endswith("| 1 | flash_varlen | 0.90 (0.65 to 1.25) | **missed** |")
    assert lines[11].endswith("| 0.5 | flash_varlen | 0.50 (0.40 to 0.56) | reached |")
    assert goals_table([]) == [
        "No GPU figure is claimed: this run was not of full size on a CUDA device, so no goal is judged."
    ]
