"""What counts as a label, and examples without theirs."""

import pytest

from longspan.tasks.examples import ChoiceExample, Example, QuestionExample, Source, TaggedExample, TextExample
from longspan.tasks.gold import has_gold, without_gold

CASES = [
    ("classify", (TextExample, "text", None, None), False),
    ("classify", (TextExample, "text", None, 0.0), True),
    ("mlm", (TextExample, "text", None, None), True),
    ("tag", (TaggedExample, "text", (), None), False),
    ("tag", (TaggedExample, "text", (), ()), True),
    ("answer", (QuestionExample, "q", "c", (), None), False),
    ("answer", (QuestionExample, "q", "c", (), False), True),
    ("answer", (QuestionExample, "q", "c", (("a", None),), None), True),
    ("choose", (ChoiceExample, "p", ("a",), None), False),
    ("choose", (ChoiceExample, "p", ("a",), 0), True),
]


@pytest.mark.parametrize(("task", "fields", "gold"), CASES)
def test_what_counts_as_a_label(task, fields, gold):
    kind, *values = fields
    example = kind("1", Source("f"), *values)
    assert has_gold(task, example) is gold
    bare = without_gold(example)
    assert has_gold(task, bare) is (task == "mlm") and (bare.id, bare.source) == ("1", example.source)


def test_other_examples_stay():
    example = Example("1", Source("f"))
    assert without_gold(example) is example
