"""The loop over features: order, windows without padding, batches, the model's mode."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longspan.predict.loop import batches, count_tokens, predict_examples, run
from longspan.tasks.examples import DataError, Source, TextExample
from longspan.tasks.task import Encoding
from tests.predict.fakes import PAD, Echo, FakeTokenizer, Sum

ENCODING = Encoding(FakeTokenizer(), 4, 0)


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(1, 64))
def test_batches_hold_every_window_once_within_the_budget(lengths, budget):
    found = batches(lengths, budget)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget
    flat = [lengths[i] for batch in found for i in batch]
    assert flat == sorted(lengths, reverse=True)


def examples(counts):
    """Features of one example after another: ``counts`` says how many tokens each of its windows has."""
    token = 0
    for windows in counts:
        features = []
        for n in windows:
            features.append({"input_ids": list(range(token + 1, token + n + 1))})
            token += n
        yield features


@given(st.lists(st.lists(st.integers(1, 9), max_size=4), max_size=12), st.integers(1, 40))
def test_outputs_come_in_input_order_without_padding(counts, budget):
    wanted = list(examples(counts))
    found = list(run(Sum(), Echo(), iter(wanted), ENCODING, batch_tokens=budget))
    assert [[raw["logits"][:, 0].tolist() for raw in example] for example in found] == [
        [window["input_ids"] for window in example] for example in wanted
    ]


def test_windows_of_similar_length_share_a_batch():
    model = Echo()
    list(run(Sum(), model, examples([[1], [8], [2], [8], [1]]), ENCODING, batch_tokens=16))
    assert model.shapes == [(2, 8), (3, 2)]


def test_only_a_buffer_is_held():
    taken = []

    def features():
        for i in range(200):
            taken.append(i)
            yield [{"input_ids": [1, 2]}]

    first = next(iter(run(Sum(), Echo(), features(), ENCODING, batch_tokens=4)))
    assert len(first) == 1 and len(taken) < 50


def test_batches_are_told():
    told = []
    list(run(Sum(), Echo(), examples([[3, 3], [3]]), ENCODING, batch_tokens=6, on_batch=told.append))
    assert told == [2, 1]


class LeftPadding(Sum):
    def collate(self, features, encoding):
        rows = [window["input_ids"] for window in features]
        width = max(map(len, rows))
        ids = torch.tensor([[PAD] * (width - len(row)) + row for row in rows])
        return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


def test_left_padding_is_taken_off_the_left():
    found = list(run(LeftPadding(), Echo(), examples([[2], [5]]), ENCODING))
    assert [raw["logits"][:, 0].tolist() for (raw,) in found] == [[1, 2], [3, 4, 5, 6, 7]]


class Choices(Sum):
    head = "ForMultipleChoice"

    def collate(self, features, encoding):
        count = max(len(window["input_ids"]) for window in features)
        width = max(len(ids) for window in features for ids in window["input_ids"])
        ids = torch.full((len(features), count, width), PAD)
        for i, window in enumerate(features):
            for j, row in enumerate(window["input_ids"]):
                ids[i, j, : len(row)] = torch.tensor(row)
        return {"input_ids": ids, "attention_mask": (ids != PAD).long()}

    def pick(self, outputs, batch):
        return {"logits": outputs.logits[..., 0].sum(-1), "largest": outputs.logits[..., 0].amax((-1, -2))}


def test_padded_choices_are_taken_off_and_a_figure_of_a_row_stays():
    features = [[{"input_ids": [[1, 2], [3]]}], [{"input_ids": [[4], [5], [6, 7, 8]]}]]
    assert [count_tokens(window) for (window,) in features] == [3, 5]
    (first,), (second,) = run(Choices(), Echo(), features, ENCODING)
    assert first["logits"].tolist() == [3, 3] and second["logits"].tolist() == [4, 5, 21]
    assert (float(first["largest"]), float(second["largest"])) == (3, 8)


class Rows(Sum):
    head = "ForSequenceClassification"

    def pick(self, outputs, batch):
        return {"logits": outputs.logits[:, :2].sum(1)}


def test_outputs_of_a_row_are_not_cut_to_its_tokens():
    ((raw,),) = run(Rows(), Echo(), [[{"input_ids": [5]}]], ENCODING)
    assert raw["logits"].tolist() == [5, 25]


class WithTargets(Sum):
    targets = ("gold",)

    def collate(self, features, encoding):
        batch = super().collate(features, encoding)
        return {**batch, "gold": batch["input_ids"] + 1, "labels": batch["input_ids"]}

    def pick(self, outputs, batch):
        return {"logits": outputs.logits, "gold": batch["gold"]}


def test_targets_and_labels_are_not_given_to_the_model_but_to_pick():
    ((raw,),) = run(WithTargets(), Echo(), [[{"input_ids": [5, 6]}]], ENCODING)
    assert raw["gold"].tolist() == [6, 7] and raw["gold"].dtype.kind == "i"


def test_half_precision_comes_as_float32():
    ((raw,),) = run(Sum(), Echo().bfloat16(), [[{"input_ids": [5]}]], ENCODING)
    assert raw["logits"].dtype == "float32"


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored(training):
    model = Echo().train(training)
    list(run(Sum(), model, examples([[1]]), ENCODING))
    assert model.training is training

    def fail(*args, **kwargs):
        raise RuntimeError

    model.forward = fail
    with pytest.raises(RuntimeError):
        list(run(Sum(), model, examples([[1]]), ENCODING))
    assert model.training is training


def test_a_budget_below_one_is_refused():
    with pytest.raises(ValueError, match="batch_tokens must be at least 1, got 0"):
        list(run(Sum(), Echo(), examples([[1]]), ENCODING, batch_tokens=0))


def text_example(text, number=1):
    return TextExample(str(number), Source("numbers.txt", number), text)


def test_each_example_comes_with_its_prediction():
    rows = [text_example("1 2 3 4 5", 1), text_example("7", 2), text_example("1 1", 3)]
    found = list(predict_examples(Sum(), Echo(), rows, ENCODING))
    assert [example for example, _ in found] == rows
    assert [(p["sum"], p["windows"]) for _, p in found] == [(15, 2), (7, 1), (2, 1)]


def test_an_example_that_cannot_be_encoded_is_named():
    with pytest.raises(DataError, match=r"numbers\.txt:1: 13 has no place"):
        list(predict_examples(Sum(), Echo(), [text_example("1 13")], ENCODING))


def test_a_model_of_its_own_output_type_is_picked_by_field():
    outputs = SimpleNamespace(logits=1, other=2)
    assert Sum().pick(outputs, {}) == {"logits": 1}
