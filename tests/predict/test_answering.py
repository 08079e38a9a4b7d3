"""Questions about documents of any length: spans slice the text and are the best of all windows, by brute force."""

import numpy as np
import pytest
import torch

from longspan.predict import answer
from longspan.predict.loading import load, write_task_file
from longspan.tasks.registry import make_task
from tests.predict.fakes import WORDS, save_checkpoint

LONG = f"{WORDS}\r\n {WORDS}  é😀 {WORDS}. The end\u2028"
QUESTION = "who may assign it ?"


@pytest.fixture(scope="module", params=["longformer", "nystromformer"])
def loaded(request, tmp_path_factory):
    return load(save_checkpoint(tmp_path_factory.mktemp("model"), request.param, "ForQuestionAnswering"), device="cpu")


def brute_force(loaded, document, question, longest=30):
    """Every span of at most ``longest`` tokens of every window, {(start, end): best score}, and the null score."""
    encoding = loaded.encoding
    encoded = encoding.tokenizer(
        question,
        document,
        truncation="only_second",
        max_length=encoding.max_length,
        stride=encoding.stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    scores, null = {}, []
    for i, ids in enumerate(encoded["input_ids"]):
        inputs = {"input_ids": torch.tensor([ids])}
        with torch.inference_mode():
            out = loaded.model(**inputs)
        start, end = out.start_logits[0].tolist(), out.end_logits[0].tolist()
        null.append(start[0] + end[0])
        offsets, parts = encoded["offset_mapping"][i], encoded.sequence_ids(i)
        places = [j for j, part in enumerate(parts) if part == 1 and offsets[j][0] < offsets[j][1]]
        for a in places:
            for b in places:
                if a <= b < a + longest:
                    key = (offsets[a][0], offsets[b][1])
                    scores[key] = max(scores.get(key, -np.inf), start[a] + end[b])
    return scores, min(null)


def test_the_best_spans_of_a_short_document_are_those_of_brute_force(loaded):
    document = "a buyer  in Ohio, é😀 may"
    scores, null = brute_force(loaded, document, QUESTION)
    (reply,) = answer(loaded, document, QUESTION, top_k=5)
    best = sorted(scores.values(), reverse=True)[:5]
    assert [span.score for span in reply.candidates] == pytest.approx(best, abs=1e-4)
    for span in reply.candidates:
        assert span.text == document[span.start : span.end] == span.text.strip() != ""
        assert span.score == pytest.approx(scores[span.start, span.end], abs=1e-4)
    assert reply.no_answer == pytest.approx(null, abs=1e-4)
    assert reply.answer == reply.candidates[0] and reply.question == QUESTION


def test_spans_of_a_long_document_come_from_all_its_windows(loaded):
    (reply,) = answer(loaded, LONG, QUESTION, top_k=500)
    assert all(span.text == LONG[span.start : span.end] == span.text.strip() != "" for span in reply.candidates)
    assert [s.score for s in reply.candidates] == sorted((s.score for s in reply.candidates), reverse=True)
    assert len({(s.start, s.end) for s in reply.candidates}) == len(reply.candidates)
    starts = [span.start for span in reply.candidates]
    assert min(starts) < len(WORDS) < 2 * len(WORDS) < max(starts)


def test_several_questions_get_what_each_gets_alone(loaded):
    questions = [QUESTION, "where ?", "to whom ?"]
    together = answer(loaded, LONG, questions, top_k=2)
    for question, reply in zip(questions, together, strict=True):
        (alone,) = answer(loaded, LONG, question, top_k=2, batch_tokens=1)
        assert [(s.start, s.end) for s in alone.candidates] == [(s.start, s.end) for s in reply.candidates]
        assert reply.no_answer == pytest.approx(alone.no_answer, abs=1e-4)
    assert answer(loaded, LONG, []) == []


def test_there_is_no_answer_where_that_scores_best(loaded):
    (reply,) = answer(loaded, LONG, QUESTION, no_answer=True)
    assert (reply.answer is None) is (reply.no_answer > reply.candidates[0].score)
    (forced,) = answer(loaded, LONG, QUESTION, no_answer=False)
    assert forced.answer == forced.candidates[0] and forced.candidates[0].score == reply.candidates[0].score


@pytest.mark.parametrize("no_answer", [True, False])
def test_whether_there_may_be_no_answer_is_saved_with_the_checkpoint(loaded, tmp_path, no_answer):
    folder = save_checkpoint(tmp_path, loaded.encoding.family, "ForQuestionAnswering")
    write_task_file(folder, make_task("answer", {"no_answer": no_answer, "null_threshold": -1e6}))
    (reply,) = answer(folder, LONG, QUESTION, device="cpu")
    assert (reply.answer is None) is no_answer and len(reply.candidates) == 1


@pytest.mark.parametrize("document", ["", " \n"])
def test_a_blank_document_answers_nothing(loaded, document):
    (reply,) = answer(loaded, document, QUESTION, top_k=3)
    assert reply.answer is None and reply.candidates == ()


@pytest.mark.parametrize(
    ("questions", "options", "message"),
    [
        (["where ?", " "], {}, "question 2: the question is blank"),
        ([WORDS * 3], {}, "question 1: the question leaves room for 0 of the 62 tokens"),
        (QUESTION, {"top_k": 0}, "top_k must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_answered_is_said(loaded, questions, options, message):
    with pytest.raises(ValueError, match=message):
        answer(loaded, LONG, questions, **options)


def test_what_is_no_text_is_refused(loaded):
    with pytest.raises(TypeError, match="document must be a str, got NoneType"):
        answer(loaded, None, QUESTION)
    with pytest.raises(TypeError, match="a question must be a str, got int"):
        answer(loaded, LONG, [1])
