import random

import pytest

from experiments.bag_of_words import FEATURES, Learner, Linear, Setting, Words, repeats, settings
from longspan.tasks.examples import Source, TextExample

PLACE = Source("here")


def text(first, second=None, label=None, name=""):
    return TextExample(name or first, PLACE, first, second, label)


def reviews(count, seed):
    draw = random.Random(seed)
    words = ["film", "story", "actor", "scene", "plot", "camera"]
    rows = []
    for i in range(count):
        label = draw.choice(["bad", "good"])
        body = draw.choices(words, k=8)
        body[draw.randrange(8)] = {"bad": "dull", "good": "moving"}[label]
        rows.append(text(" ".join(body), label=label, name=str(i)))
    return rows


def test_a_word_that_tells_is_found():
    train, test = reviews(200, 0), reviews(50, 1)
    predict = Learner(train, regression=False, seed=0)(Setting("text", 10.0))
    assert [row["label"] for row in predict(test)] == [x.label for x in test]
    assert [row["id"] for row in predict(test)] == [x.id for x in test]


def test_pairs_of_words_count_in_their_order():
    train = [text(f"{t} x{i}", label=label) for t, label in (("not good", "no"), ("good not", "yes")) for i in range(5)]
    predict = Learner(train, regression=False, seed=0)(Setting("text", 100.0))
    assert [row["label"] for row in predict([text("not good"), text("good not")])] == ["no", "yes"]


def test_two_texts_are_compared():
    train = [
        text(f"red {a} x{a}{b}", f"red {b} y{a}{b}", "same" if a == b else "other")
        for a in ("cat", "dog", "cow", "hen")
        for b in ("cat", "dog", "cow", "hen")
    ]
    predict = Learner(train, regression=False, seed=0)(Setting("compared", 100.0))
    assert [row["label"] for row in predict(train)] == [x.label for x in train]


def test_what_two_texts_share_does_not_depend_on_their_order():
    words = Words([text(f"a quick red fox {x}", f"a slow red hen {x}") for x in ("one", "two")])
    there, back = text("quick red fox", "red hen"), text("red hen", "quick red fox")
    compared, beside = (FEATURES[name](words, [there, back]).toarray() for name in ("compared", "beside"))
    assert (compared[0] == compared[1]).all() and not (beside[0] == beside[1]).all()


def test_numbers_are_regressed():
    train = [text("word " * n, label=str(float(n))) for n in range(1, 6) for _ in range(4)]
    train += [text("other", label="0.5"), text("other", label="0.5")]
    (row,) = Learner(train, regression=True, seed=0)(Setting("text", 100.0))([text("other")])
    assert row["label"] == pytest.approx(0.5, abs=0.2)


def test_each_hypothesis_has_a_model_of_its_own():
    """The same document has another label under another hypothesis, and one hypothesis knows one label only."""
    documents = [f"clause {word} x{i}" for word in ("alpha", "beta") for i in range(12)]
    train = [text("A holds", d, str("alpha" in d)) for d in documents]
    train += [text("B holds", d, str("beta" in d)) for d in documents]
    train += [text("C holds", d, "False") for d in documents]
    assert repeats(train) and not repeats(reviews(20, 0))
    features = Words(train)
    model = Linear(Setting("each", 100.0), False, 0).fit(FEATURES["each"](features, train), train)
    asked = [text(f"{x} holds", "clause alpha") for x in "ABC"]
    found = model.predict(FEATURES["each"](features, asked), asked)
    assert [row["label"] for row in found] == ["True", "False", "False"]


def test_settings_fit_the_data():
    even = [text("a", label=label) for label in "01"] * 30
    uneven = [text("a", label=label) for label in "011"] * 30
    assert {x.features for x in settings(even, False)} == {"text"}
    assert {x.balanced for x in settings(even, False)} == {False}
    assert {x.balanced for x in settings(uneven, False)} == {False, True}
    assert {x.balanced for x in settings(uneven, True)} == {False}
    pairs = [text(f"h{i % 2}", f"d{i}", str(i % 2)) for i in range(60)]
    assert {x.features for x in settings(pairs, False)} == {"beside", "compared", "each"}
