"""The task answer: its windows, targets, loss, predictions and scores."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from longspan.models.longformer.global_mask import default_mask
from longspan.tasks.answer import Answer
from longspan.tasks.examples import BadRow, QuestionExample, Source
from longspan.tasks.layouts.triviaqa import TriviaExample
from longspan.tasks.question_windows import read_document, read_question
from longspan.tasks.registry import make_task
from longspan.tasks.span_targets import marginal_loss
from longspan.tasks.task import Encoding
from longspan.tasks.windows import make_windows
from tests.tasks.small_tokenizers import KINDS, SENTENCES, byte_level
from tests.tasks.test_question_windows import texts, typed

QUESTION = "Who pays?"
LONG = " ".join(SENTENCES * 3)


def example(context=LONG, answers=(), answerable=None, question=QUESTION, key="q"):
    return QuestionExample(key, Source("f.json", 1), question, context, tuple(answers), True if answers else answerable)


def all_places(text, context=LONG):
    return [(text, i) for i in range(len(context)) if context.startswith(text, i)]


def make_encoding(tokenizer, size, stride=4, family="longformer"):
    """An encoding whose windows hold ``size`` tokens of a document."""
    question = read_question(tokenizer, QUESTION)
    return Encoding(tokenizer, size + len(question.before) + len(question.after), stride, family)


def outputs_at_targets(features, size=10.0, null=0.0):
    """Outputs of ``size`` at a window's targets, and ``null`` at its first token."""
    outputs = []
    for window in features:
        output = {}
        for name, positions in (("start_logits", "start_positions"), ("end_logits", "end_positions")):
            output[name] = np.zeros(len(window["input_ids"]), np.float32)
            output[name][[p for p in window[positions] if p > 0]] = size
            output[name][0] = null
        outputs.append(output)
    return outputs


def widen(document, start, end):
    """The smallest range of code points around one that tokens have at their ends: tokens can share code points."""
    first, last = document.find(start, end)
    wider = int(document.starts[first]), int(document.ends[last])
    return wider if wider == (start, end) else widen(document, *wider)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40)
@given(text=texts, data=st.data())
def test_windows_hold_the_document_and_answers_come_back(kind, text, data):
    tokenizer = KINDS[kind]()
    document = read_document(tokenizer, text)
    visible = np.flatnonzero(document.starts < document.ends).tolist()
    assume(visible)
    first = data.draw(st.sampled_from(visible))
    last = data.draw(st.sampled_from([i for i in visible if first <= i < first + 6]))
    start, end = widen(document, int(document.starts[first]), int(document.ends[last]))
    size = data.draw(st.integers(2, 20))
    encoding = make_encoding(tokenizer, size, data.draw(st.integers(0, size - 1)))
    task = Answer(max_answer_length=100)
    asked = example(text, [(text[start:end], start)])
    features = task.encode(asked, encoding, training=False)

    question = read_question(tokenizer, QUESTION)
    windows = make_windows(len(document.ids), size, encoding.stride)
    assert [w["input_ids"] for w in features] == [
        [*question.before, *document.ids[a:b].tolist(), *question.after] for a, b in windows
    ]
    assert max(len(w["input_ids"]) for w in features) <= encoding.max_length
    assert len({tuple(sorted(window)) for window in features}) == 1
    if any(window["start_positions"] != [0] for window in features):
        prediction = task.decode(asked, features, outputs_at_targets(features))
        assert (prediction["answer"], prediction["start"], prediction["end"]) == (text[start:end], start, end)
        assert prediction["score"] == 20
        assert json.loads(json.dumps(prediction)) == prediction
    else:
        # shorter spans lie whole in some window
        assert document.find(start, end)[1] - document.find(start, end)[0] > encoding.stride


def test_a_document_that_fits_is_one_window():
    tokenizer = byte_level()
    for encoding in (make_encoding(tokenizer, len(read_document(tokenizer, LONG).ids)), Encoding(tokenizer, None)):
        (window,) = Answer().encode(example(), encoding, training=False)
        assert window["input_ids"] == tokenizer(QUESTION, LONG)["input_ids"]


def test_the_question_is_global_for_longformer_only():
    tokenizer, task = byte_level(), Answer()
    for family in ("longformer", "nystromformer"):
        encoding = make_encoding(tokenizer, 30, family=family)
        long, other = task.encode(example(), encoding, False), task.encode(example("Short."), encoding, False)
        batch = task.collate([*long, *other], encoding)
        assert ("global_attention_mask" in batch) == (family == "longformer")
        if family == "longformer":
            ids, mask = batch["input_ids"], batch["attention_mask"]
            expected = default_mask("question", mask - 1, ids, tokenizer.sep_token_id, ids.shape, ids.device)
            assert torch.equal(batch["global_attention_mask"] == 1, expected)
        assert torch.equal(batch["attention_mask"].bool(), batch["input_ids"] != tokenizer.pad_token_id)


def test_a_batch_has_token_types_and_says_where_answers_can_be():
    tokenizer, task = typed(), Answer()
    encoding = Encoding(tokenizer, None)
    rows = [task.encode(asked, encoding, True)[0] for asked in (unanswerable(), example("Ada pays.", [("Ada", 0)]))]
    batch = task.collate(rows, encoding)
    assert batch["token_type_ids"].shape == batch["input_ids"].shape
    kept = tokenizer(QUESTION, "Ada pays.")
    length = len(kept["input_ids"])
    assert batch["token_type_ids"][1].tolist() == kept["token_type_ids"] + [0] * (len(rows[0]["input_ids"]) - length)
    allowed = [part == 1 or i == 0 for i, part in enumerate(kept.sequence_ids())]
    assert batch["span_mask"][1].tolist() == allowed + [False] * (batch["span_mask"].shape[1] - length)


def unanswerable(context=LONG, key="n"):
    return QuestionExample(key, Source("f.json", 2), QUESTION, context, (), False)


def test_targets_are_all_places_of_a_window():
    tokenizer = byte_level()
    answers = [*all_places("agreement"), *all_places("agreement, licensee"), ("nowhere", None)]
    encoding = make_encoding(tokenizer, 40, 10)
    document = read_document(tokenizer, LONG)
    found = set()
    for window, (first, last) in zip(
        Answer().encode(example(answers=answers), encoding, False), make_windows(len(document.ids), 40, 10), strict=True
    ):
        expected = [document.find(start, start + len(text)) for text, start in answers[:-1]]
        inside = [(a, b) for a, b in expected if first <= a and b < last]
        found |= set(inside)
        move = window["document_first"] - first
        # "agreement, licensee" begins where an "agreement" does: each first token once
        assert window["start_positions"] == (sorted({a + move for a, _ in inside}) or [0])
        assert window["end_positions"] == (sorted({b + move for _, b in inside}) or [0])
    assert found == set(expected)


def test_training_keeps_some_windows_without_an_answer():
    tokenizer = byte_level()
    encoding = make_encoding(tokenizer, 20)
    answers = all_places("royalty")[:1]
    everything = Answer().encode(example(answers=answers), encoding, False)
    assert len(everything) > 10

    def count(task, asked):
        windows = task.encode(asked, encoding, training=True)
        assert not any("offset_starts" in window for window in windows)
        assert windows == task.encode(asked, encoding, training=True)
        return sum(w["start_positions"] != [0] for w in windows), sum(w["start_positions"] == [0] for w in windows)

    assert count(Answer(), example(answers=answers)) == (1, 2)
    assert count(Answer(empty_windows=0), example(answers=answers)) == (1, 0)
    assert count(Answer(empty_windows=999), example(answers=answers)) == (1, len(everything) - 1)
    # a question without an answer is not lost
    assert count(Answer(empty_windows=0), unanswerable()) == (0, 1)
    chosen = {str(Answer().encode(unanswerable(key=str(i)), encoding, True)) for i in range(20)}
    assert len(chosen) > 5


def test_training_needs_an_answer():
    encoding = make_encoding(byte_level(), 20)
    bad = Answer().encode(example(), encoding, training=True)
    assert isinstance(bad, BadRow) and bad.reason == "there is no answer to learn"
    assert len(Answer().encode(example(), encoding, training=False)) > 1
    # known, but not in this document
    assert Answer().encode(example(answers=[("Eve", None)]), encoding, training=True) == []


def trivia(aliases, key="t", context=LONG):
    return TriviaExample(
        key, Source("f.json", 3), QUESTION, context, tuple((x, None) for x in aliases), None, tuple(aliases)
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (example(question=" \n"), "the question is blank"),
        (example(answers=[("party", 3)]), "the answer 'party' does not stand at 3 in its context"),
        (example(answers=[("party", -3)]), "the answer 'party' does not stand at -3"),
        (example("a \n b", [("\n", 2)]), "no token is of the answer"),
        (example(question=" ".join(["party"] * 40)), "leaves room for 0 of the "),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_what_fits_nothing_is_a_bad_row(asked, message, training):
    bad = Answer().encode(asked, make_encoding(byte_level(), 20), training)
    assert isinstance(bad, BadRow) and message in bad.reason and bad.source == asked.source


def test_a_window_has_to_move_on():
    bad = Answer().encode(example(), make_encoding(byte_level(), 20, 20), False)
    assert isinstance(bad, BadRow) and "windows that share 20 need more" in bad.reason
    assert len(Answer().encode(example("Short."), make_encoding(byte_level(), 20, 20), False)) == 1


def random_logits(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def test_the_loss_of_one_place_is_the_cross_entropy():
    logits, mask = random_logits((3, 7)), torch.ones(3, 7, dtype=torch.bool)
    positions = torch.tensor([[2], [0], [6]])
    loss = marginal_loss(logits, positions, mask)
    assert torch.allclose(loss, cross_entropy(logits, positions[:, 0], reduction="none"))


def test_the_loss_of_several_places_is_that_of_any_of_them():
    logits = random_logits((3, 7))
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3, [True] * 7])
    positions = torch.tensor([[1, 3, 5], [2, -100, -100], [-100] * 3])
    loss = marginal_loss(logits, positions, mask)
    shares = logits.detach().exp() * mask
    shares /= shares.sum(1, keepdim=True)
    expected = [-shares[0, [1, 3, 5]].sum().log(), -shares[1, 2].log(), torch.tensor(0.0)]
    assert torch.allclose(loss, torch.stack([x.double() for x in expected]))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.isfinite().all()
    assert (gradient[2] == 0).all() and (gradient[1, 4:] == 0).all() and gradient[0].ne(0).all()


def test_half_precision_is_summed_in_single():
    logits = torch.full((1, 4096), 3.0, dtype=torch.float16)
    loss = marginal_loss(logits, torch.tensor([[5]]), torch.ones(1, 4096, dtype=torch.bool))
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(np.log(4096), abs=1e-5)


def test_the_loss_is_divided_by_the_rows_with_targets():
    task, encoding = Answer(), make_encoding(byte_level(), 30)
    rows = [*task.encode(example(answers=all_places("royalty")), encoding, False)[:3]]
    rows += task.encode(example("Nothing is known."), encoding, False)
    batch = task.collate(rows, encoding)
    shape = batch["input_ids"].shape
    outputs = SimpleNamespace(start_logits=random_logits(shape), end_logits=random_logits(shape, 1))
    assert task.count_targets(batch) == 3
    parts = [
        marginal_loss(logits, batch[name], batch["span_mask"]).sum()
        for logits, name in ((outputs.start_logits, "start_positions"), (outputs.end_logits, "end_positions"))
    ]
    assert task.loss(outputs, batch).item() == pytest.approx(sum(parts).item() / 6)
    for number in (12, torch.tensor(12)):
        assert task.loss(outputs, batch, number).item() == pytest.approx(sum(parts).item() / 24)


def test_the_best_score_of_all_windows_counts():
    task, encoding = Answer(n_best=3, no_answer=True), make_encoding(byte_level(), 20, 10)
    asked = example(answers=all_places("royalty")[:1])
    features = task.encode(asked, encoding, False)
    outputs = outputs_at_targets(features)
    holding = [i for i, window in enumerate(features) if window["start_positions"] != [0]]
    for place, i in enumerate(holding):
        outputs[i]["start_logits"] *= 1 + place
    best = task.decode(asked, features, outputs)
    assert best["answer"] == "royalty" and best["score"] == 10 * len(holding) + 10
    assert len(best["candidates"]) == 3 and best["candidates"][0]["text"] == "royalty"
    assert len({(c["start"], c["end"]) for c in best["candidates"]}) == 3
    assert sum(c["probability"] for c in best["candidates"]) < 1  # the rest is that of no answer
    assert all(LONG[c["start"] : c["end"]] == c["text"] for c in best["candidates"])


def test_no_answer_is_what_all_windows_say():
    encoding = make_encoding(byte_level(), 20, 10)
    asked = example(answers=all_places("royalty")[:1])
    features = Answer().encode(asked, encoding, False)
    outputs = outputs_at_targets(features, null=11.0)
    for threshold, text in ((0.0, ""), (1.9, ""), (2.0, "royalty")):
        prediction = Answer(no_answer=True, null_threshold=threshold).decode(asked, features, outputs)
        assert (prediction["answer"], prediction["null_score"], prediction["score"]) == (text, 22, 20)
        assert (prediction["start"] is None) == (text == "")
    assert Answer(no_answer=False).decode(asked, features, outputs)["answer"] == "royalty"
    outputs[0]["start_logits"][0] = -5  # one window is sure that it holds an answer
    assert Answer(no_answer=True).decode(asked, features, outputs)["answer"] == "royalty"


def test_nothing_to_answer_from():
    task, encoding = Answer(), make_encoding(byte_level(), 20)
    blank = example(" \n ")
    prediction = task.decode(blank, features := task.encode(blank, encoding, False), outputs_at_targets(features))
    assert (prediction["answer"], prediction["start"], prediction["score"]) == ("", None, None)
    assert prediction["candidates"] == []


def test_whether_there_can_be_no_answer_is_learnt():
    task = Answer()
    task.learn(iter([example(answers=all_places("royalty")), unanswerable()]))
    assert task.options()["no_answer"] is True
    task = Answer()
    task.learn([example(answers=all_places("royalty"))])
    assert task.options()["no_answer"] is False
    fixed = Answer(no_answer=False)
    fixed.learn([unanswerable()])
    assert fixed.no_answer is False


def test_options_make_the_task_again():
    task = Answer(max_answer_length=7, n_best=2, no_answer=True, null_threshold=1.5, empty_windows=0)
    again = make_task("answer", json.loads(json.dumps(task.options())))
    assert isinstance(again, Answer) and again.options() == task.options()
    for option in ("max_answer_length", "n_best"):
        with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
            Answer(**{option: 0})


def predictions(**answers):
    return [
        {
            "id": key,
            "answer": text,
            "score": 1.0,
            "null_score": null,
            "candidates": [{"text": best, "start": 0, "end": 1, "score": 1.0, "probability": 1.0}],
        }
        for key, (text, best, null) in answers.items()
    ]


def test_scores_are_those_of_the_data():
    with_answer = example(answers=[("royalty", LONG.index("royalty"))], key="a")
    assert Answer().score([with_answer], predictions(a=("a Royalty", "", 0.0))) == {"exact": 100.0, "f1": 100.0}
    both = Answer().score([with_answer, unanswerable(key="b")], predictions(a=("", "royalty", 3.0), b=("x", "x", 5.0)))
    assert both["f1"] == both["exact"] == 0.0
    assert both["best_f1"] == both["best_exact"] == 100.0 and both["best_f1_threshold"] == 2.0
    assert both["has_answer_f1"] == both["no_answer_f1"] == 0.0
    scores = Answer().score([trivia(["sunset blvd"])], predictions(t=("Sunset-Blvd.", "", 0.0)))
    assert scores == {"exact": 100.0, "f1": 100.0}


def test_what_cannot_be_scored():
    for asked in (example(), trivia([])):
        with pytest.raises(ValueError, match=r"f.json:\d: the question '.' has no gold answer"):
            Answer().score([asked], predictions(x=("", "", 0.0)))


def test_two_questions_with_one_id_are_two_questions():
    """A run ended over them when everything had been computed."""
    twice = [example(answers=all_places("royalty"), key="a"), example(answers=[(LONG[:5], 0)], key="a")]
    said = predictions(a=("royalty", "", 0.0)) * 2
    assert Answer().score(twice, said) == {"exact": 50.0, "f1": 50.0}
    assert Answer().score([*twice, unanswerable(key="a")], said + predictions(a=("", "", 0.0)))["exact"] == 200 / 3
