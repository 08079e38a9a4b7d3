"""ListOps: nested lists of digits under MIN, MAX, MED and SM, and the digit that they come to.

Source: Nangia and Bowman: ListOps: A Diagnostic Dataset for Latent Tree Learning, 2018; lengths and rules as in Long
Range Arena. An expression is a list of tokens, such as ``[MAX 2 [SM 3 9 ] 0 ]``, which is 2.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

CLOSE = "]"
DIGITS = tuple(str(digit) for digit in range(10))
OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")
TOKENS = (*DIGITS, *OPERATORS, CLOSE)
"""All tokens; the id of one is its place, counted from 1, since 0 is padding."""

CLASSES = 10
_IDS = {token: number for number, token in enumerate(TOKENS, 1)}
_OPERATOR_SHARE = 0.25


@dataclass(frozen=True)
class ListOpsRules:
    """What expressions are drawn; the defaults are the published ones.

    Attributes:
        max_depth: of the deepest node; the root's depth is 1.
        max_args: of an operator, which has at least two.
        min_length, max_length: tokens of an expression, both bounds excluded; an operator and its end count as two.
    """

    max_depth: int = 10
    max_args: int = 10
    min_length: int = 500
    max_length: int = 2000

    def __post_init__(self) -> None:
        """Check that there is such an expression.

        Raises:
            ValueError: there is none, or it would hardly ever be drawn.
        """
        if self.max_depth < 1:
            raise ValueError(f"max_depth must be at least 1, got {self.max_depth}")
        if self.max_args < 2:
            raise ValueError(f"max_args must be at least 2, the fewest arguments of an operator, got {self.max_args}")
        if self.min_length < 0 or self.max_length < self.min_length + 2:
            raise ValueError(
                "lengths lie strictly between min_length and max_length, so min_length must be at least 0 and "
                f"max_length at least min_length + 2, got {self.min_length} and {self.max_length}"
            )
        longest = self.longest
        if longest <= self.min_length:
            raise ValueError(
                f"min_length must be below {longest}, the longest expression of depth {self.max_depth} with "
                f"{self.max_args} arguments, got {self.min_length}"
            )

    @property
    def longest(self) -> int:
        """Tokens of the longest expression: operators everywhere above digits."""
        length = 1
        for _ in range(self.max_depth - 1):
            length = 2 + self.max_args * length
        return length


def draw_expression(rng: random.Random, rules: ListOpsRules) -> list[str] | None:
    """One expression of any length, or None where it has ``max_length`` tokens or more.

    A node is an operator with probability 1/4, else a digit; at ``max_depth`` it is a digit. Operators, digits and
    numbers of arguments are uniform.
    """
    tokens: list[str] = []
    length = 0
    # arguments that are still to come, for each operator that is open; the outermost is the root alone
    left = [1]
    while left:
        if not left[-1]:
            left.pop()
            if left:
                tokens.append(CLOSE)
            continue
        left[-1] -= 1
        if len(left) < rules.max_depth and rng.random() <= _OPERATOR_SHARE:
            tokens.append(OPERATORS[int(rng.random() * len(OPERATORS))])
            left.append(2 + int(rng.random() * (rules.max_args - 1)))
            length += 2
        else:
            tokens.append(DIGITS[int(rng.random() * len(DIGITS))])
            length += 1
        if length >= rules.max_length:
            return None
    return tokens


def draw_rows(seed: int, rules: ListOpsRules, trials: int) -> list[tuple[str, int]]:
    """The expressions of ``trials`` draws that have a length of the rules, as text, with their values."""
    rng = random.Random(seed)
    rows = []
    for _ in range(trials):
        tokens = draw_expression(rng, rules)
        if tokens is not None and len(tokens) > rules.min_length:
            rows.append((" ".join(tokens), evaluate(tokens)))
    return rows


def evaluate(tokens: Sequence[str]) -> int:
    """The value of an expression, 0 to 9.

    SM is the sum modulo 10; MED the median, of an even number of arguments the mean of both middle ones, rounded down.

    Raises:
        ValueError: it is no expression; the message names the token, counted from 1, where that is seen.
    """
    stack: list[tuple[str, list[int]]] = []
    value: int | None = None
    for number, token in enumerate(tokens, 1):
        if value is not None:
            raise ValueError(f"token {number}, {token!r}, stands behind the end of the expression")
        if token in OPERATORS:
            stack.append((token, []))
            continue
        if token == CLOSE:
            if not stack or not stack[-1][1]:
                raise ValueError(f"token {number} closes {'an empty list' if stack else 'what is not open'}")
            found = _apply(*stack.pop())
        elif token in DIGITS:
            found = int(token)
        else:
            raise ValueError(f"token {number} is {token!r}; tokens are {' '.join(TOKENS)}")
        if stack:
            stack[-1][1].append(found)
        else:
            value = found
    if value is None:
        raise ValueError(f"{len(stack)} operators are not closed" if stack else "there is no token")
    return value


def split_expression(text: str) -> list[str]:
    """Tokens of a text; the parentheses of the published files, which say the same again, are left out."""
    return text.replace("(", " ").replace(")", " ").split()


def encode_expression(tokens: Sequence[str]) -> list[int]:
    """Ids of tokens.

    Raises:
        ValueError: a token is unknown.
    """
    try:
        return [_IDS[token] for token in tokens]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is no token of ListOps; tokens are {' '.join(TOKENS)}") from None


def _apply(operator: str, arguments: list[int]) -> int:
    if operator == "[MIN":
        return min(arguments)
    if operator == "[MAX":
        return max(arguments)
    if operator == "[SM":
        return sum(arguments) % 10
    ordered = sorted(arguments)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2
