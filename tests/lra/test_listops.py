"""ListOps: the evaluator against a plain one, distributions against what the rules say, refusals."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longspan.lra.generating import generate_listops
from longspan.lra.listops import (
    OPERATORS,
    TOKENS,
    ListOpsRules,
    draw_expression,
    draw_rows,
    encode_expression,
    evaluate,
    split_expression,
)
from longspan.lra.readers import read_listops

SMALL = ListOpsRules(max_depth=4, max_args=4, min_length=5, max_length=60)


def parse(tokens):
    """A tree: a digit, or an operator with its arguments."""
    token = tokens.pop(0)
    if token not in OPERATORS:
        return int(token)
    arguments = []
    while tokens[0] != "]":
        arguments.append(parse(tokens))
    tokens.pop(0)
    return token, arguments


def value_of(tree):
    if isinstance(tree, int):
        return tree
    operator, arguments = tree
    numbers = sorted(map(value_of, arguments))
    half = (len(numbers) - 1) / 2
    median = int((numbers[math.floor(half)] + numbers[math.ceil(half)]) / 2)
    return {"[MIN": numbers[0], "[MAX": numbers[-1], "[MED": median, "[SM": sum(numbers) % 10}[operator]


def depth_of(tree):
    return 1 if isinstance(tree, int) else 1 + max(map(depth_of, tree[1]))


def nodes_of(tree):
    yield tree
    if not isinstance(tree, int):
        for argument in tree[1]:
            yield from nodes_of(argument)


def published(tree):
    """The text form of the published files: a curried operator, with a parenthesis for each application."""
    if isinstance(tree, int):
        return str(tree)
    text = tree[0]
    for argument in tree[1]:
        text = f"( {text} {published(argument)} )"
    return f"( {text} ] )"


@pytest.fixture(scope="module")
def rows():
    """Rows by the published rules."""
    found = draw_rows(seed=0, rules=ListOpsRules(), trials=12_000)
    assert len(found) > 800
    return [(text.split(), value) for text, value in found]


@given(st.integers(0, 2**32))
def test_every_value_is_that_of_a_plain_evaluator(seed):
    tokens = draw_expression(random.Random(seed), SMALL)
    if tokens is not None:
        assert evaluate(tokens) == value_of(parse(list(tokens)))


def test_every_row_has_its_value(rows):
    assert all(value == value_of(parse(list(tokens))) for tokens, value in rows)


def test_lengths_depths_and_arguments_are_within_the_rules(rows):
    trees = [parse(list(tokens)) for tokens, _ in rows]
    assert all(500 < len(tokens) < 2000 for tokens, _ in rows)
    depths = [depth_of(tree) for tree in trees]
    # trees of that length are nearly all as deep as they may be
    assert max(depths) == 10 and depths.count(10) > 0.9 * len(depths)
    arguments = Counter(len(n[1]) for tree in trees for n in nodes_of(tree) if not isinstance(n, int))
    assert set(arguments) == set(range(2, 11))


def test_lengths_are_spread_as_a_plain_drawing_spreads_them(rows):
    """The published rules in a few lines: one node in four is an operator, and how many arguments it has is uniform."""

    def draw(rng, depth):
        if depth == 10 or rng.random() >= 0.25:
            return 1
        return 2 + sum(draw(rng, depth + 1) for _ in range(rng.randint(2, 10)))

    rng = random.Random(1)
    plain = sorted(n for n in (draw(rng, 1) for _ in range(12_000)) if 500 < n < 2000)
    found = sorted(len(tokens) for tokens, _ in rows)
    assert abs(len(plain) / len(found) - 1) < 0.15  # as many of all draws have such a length
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        one, other = (lengths[int(share * len(lengths))] for lengths in (plain, found))
        assert abs(one / other - 1) < 0.12, (share, one, other)


def test_operators_and_digits_are_uniform(rows):
    counts = Counter(token for tokens, _ in rows for token in tokens)
    for group in (OPERATORS, TOKENS[:10]):
        share = [counts[token] / sum(counts[t] for t in group) for token in group]
        assert max(abs(s * len(group) - 1) for s in share) < 0.03


def test_a_quarter_of_the_nodes_above_the_depth_are_operators():
    rules = ListOpsRules(max_depth=2, max_args=10, min_length=0, max_length=100)
    drawn = [draw_expression(random.Random(seed), rules) for seed in range(8000)]
    roots = [tokens[0] in OPERATORS for tokens in drawn]
    assert abs(sum(roots) / len(roots) - 0.25) < 0.02
    arguments = Counter(len(tokens) - 2 for tokens in drawn if tokens[0] in OPERATORS)
    assert all(abs(n / sum(arguments.values()) * 9 - 1) < 0.3 for n in arguments.values())


def test_labels_favour_what_minima_and_maxima_give(rows):
    """All digits occur, 0 and 9 most: half of the operators are MIN and MAX."""
    counts = Counter(value for _, value in rows)
    shares = [counts[digit] / len(rows) for digit in range(10)]
    assert min(shares) > 0.05 and sum(shares[1:9]) / 8 < 0.1
    assert min(shares[0], shares[9]) > max(shares[1:9]) - 0.03
    assert max(shares) < 0.2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
        ("[MED 1 8 ]", 4),
        ("[MED 9 1 5 ]", 5),
        ("[SM 9 9 5 ]", 3),
        ("( ( ( [MIN 4 ) 7 ) ] )", 4),
    ],
)
def test_named_values(text, value):
    assert evaluate(split_expression(text)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no token"),
        ("[MAX 1 2", "1 operators are not closed"),
        ("[MAX ]", "token 2 closes an empty list"),
        ("]", "token 1 closes what is not open"),
        ("1 2", "token 2, '2', stands behind the end"),
        ("[AVG 1 2 ]", r"token 1 is '\[AVG'"),
    ],
)
def test_no_expression(text, message):
    with pytest.raises(ValueError, match=message):
        evaluate(text.split())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_depth": 0}, "max_depth must be at least 1, got 0"),
        ({"max_args": 1}, "max_args must be at least 2"),
        ({"min_length": 2000}, "max_length at least min_length . 2, got 2000 and 2000"),
        ({"max_depth": 3, "max_args": 5}, "min_length must be below 37, the longest expression of depth 3 with 5"),
    ],
)
def test_impossible_rules(given, message):
    with pytest.raises(ValueError, match=message):
        ListOpsRules(**given)


def test_more_rows_than_there_are_expressions(tmp_path):
    rules = ListOpsRules(max_depth=2, max_args=2, min_length=3, max_length=5)
    with pytest.raises(ValueError, match="only 400 different expressions of such lengths were found, not 500"):
        generate_listops(tmp_path / "out", rules, rows=(400, 50, 50))
    assert not (tmp_path / "out").exists()


def test_files_are_the_same_for_a_seed_whatever_the_processes(tmp_path):
    told = []
    for name, seed, processes in (("one", 3, 1), ("two", 3, 2), ("other", 4, 1)):
        rows = (300, 20, 20)
        generate_listops(
            tmp_path / name, SMALL, rows=rows, seed=seed, processes=processes, on_rows=lambda *at: told.append(at)
        )
    content = {
        name: [path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("one", "two", "other")
    }
    assert content["one"] == content["two"]
    assert content["one"] != content["other"]
    assert told[339] == (340, 340)


def test_generated_files_are_read_as_they_were_drawn(tmp_path):
    generate_listops(tmp_path / "out", SMALL, rows=(60, 20, 20))
    seen = set()
    for part, number in (("train", 60), ("validation", 20), ("test", 20)):
        rows = list(read_listops(tmp_path / "out", part, 2000))
        assert len(rows) == number
        for (ids,), label in rows:
            tokens = [TOKENS[i - 1] for i in ids]
            assert evaluate(tokens) == label and tuple(tokens) not in seen
            seen.add(tuple(tokens))


def test_the_published_form_has_the_same_ids(tmp_path):
    tokens = draw_expression(random.Random(8), SMALL)
    assert tokens[0] in OPERATORS
    text = published(parse(list(tokens)))
    assert text.startswith("( ")
    (tmp_path / "basic_train.tsv").write_text(f"Source\tTarget\n{text}\t{evaluate(tokens)}\n")
    assert list(read_listops(tmp_path, "train", 2000)) == [([encode_expression(tokens)], evaluate(tokens))]
