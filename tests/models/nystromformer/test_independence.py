"""Row b of a batch, and each document of a packed row, equals the document alone."""

import pytest
import torch

from tests.models.nystromformer.support import (
    HEADS,
    TOKEN_HEADS,
    VOCAB,
    assert_close,
    make,
    make_ids,
    make_labels,
    predictions,
)

LENGTHS = (30, 19, 6, 1)
PLACES = ("right", "left", "both")


def padded(lengths, place, width=33):
    """Ids, mask and the columns of each row's document."""
    ids, mask = make_ids(len(lengths), width, seed=5), torch.zeros(len(lengths), width, dtype=torch.long)
    spans = []
    for row, length in enumerate(lengths):
        start = {"right": 0, "left": width - length, "both": (width - length) // 2}[place]
        spans.append(slice(start, start + length))
        mask[row, spans[-1]] = 1
    return ids, mask, spans


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["nystrom", "softmax"])
def test_rows_of_a_padded_batch_equal_rows_alone(kind, place, backend):
    model = make(attention_type=kind, attn_implementation=backend)
    ids, mask, spans = padded(LENGTHS, place)
    together = model(ids, attention_mask=mask).last_hidden_state
    for row, span in enumerate(spans):
        alone = model(ids[row : row + 1, span]).last_hidden_state[0]
        assert_close(together[row, span], alone)
    assert together.isfinite().all()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("head", HEADS)
def test_heads_on_padded_batches(head, place):
    model = make(head)
    ids, mask, spans = padded(LENGTHS, place)
    many = head == "ForMultipleChoice"
    outputs = predictions(model(*((ids[:, None], mask[:, None]) if many else (ids, mask))))
    for row, span in enumerate(spans):
        one = ids[row : row + 1, span]
        for name, alone in predictions(model(one[:, None] if many else one)).items():
            actual = outputs[name][row : row + 1]
            assert_close(
                actual if head in ("ForSequenceClassification", "ForMultipleChoice") else actual[:, span], alone
            )


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["nystrom", "softmax"])
@pytest.mark.parametrize("head", TOKEN_HEADS)
def test_packed_documents_equal_documents_alone(head, kind, backend):
    model = make(head, attention_type=kind, attn_implementation=backend)
    ids = make_ids(2, 40)
    segments = torch.full((2, 40), -1)
    documents = [(0, 0, 18), (0, 18, 25), (0, 25, 40), (1, 3, 4), (1, 4, 36)]
    for number, (row, start, stop) in enumerate(documents):
        segments[row, start:stop] = 10 - number
    outputs = predictions(model(ids, segment_ids=segments))
    for row, start, stop in documents:
        for name, alone in predictions(model(ids[row : row + 1, start:stop])).items():
            assert_close(outputs[name][row : row + 1, start:stop], alone)


def test_gradients_of_a_packed_row_are_the_sum_of_the_documents():
    model = make("ForMaskedLM")
    ids = make_ids(1, 40)
    labels = make_labels("ForMaskedLM", 1, 40)["labels"]
    segments = torch.tensor([[0] * 18 + [1] * 22])
    model(ids, segment_ids=segments, labels=labels, num_items_in_batch=7).loss.backward()
    packed = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for part in (slice(0, 18), slice(18, 40)):
        model(ids[:, part], labels=labels[:, part], num_items_in_batch=7).loss.backward()
    largest = max(float(grad.abs().max()) for grad in packed.values())
    for name, p in model.named_parameters():
        assert float((packed[name] - p.grad).abs().max()) <= 1e-5 * largest, name


@pytest.mark.parametrize("head", HEADS)
def test_changing_a_masked_id_changes_nothing(head):
    model = make(head)
    ids, mask, _ = padded(LENGTHS, "both")
    mask[0, 5:9] = 0  # a hole
    changed = torch.where(mask == 0, (ids + 11) % VOCAB, ids)
    if head == "ForMultipleChoice":
        ids, changed, mask = ids[:, None], changed[:, None], mask[:, None]
    arguments = {"attention_mask": mask, **make_labels(head, 4, 33)}
    if head == "ForMaskedLM":
        arguments["labels"] = arguments["labels"].masked_fill(mask == 0, -100)
    if head == "ForTokenClassification":
        arguments["labels"] = arguments["labels"].masked_fill(mask == 0, -100)
    a, b = model(ids, **arguments), model(changed, **arguments)
    for name, value in predictions(a).items():
        if value.dim() > 1 and value.shape[1] == 33:
            assert torch.equal(value[mask == 1], b[name][mask == 1])
        else:
            assert torch.equal(value, b[name])
    if "loss" in a:
        assert torch.equal(a.loss, b.loss)
        # and masked ids get no gradient
        a.loss.backward()
        table = model.get_input_embeddings().weight
        unseen = [i for i in range(VOCAB) if i not in ids[mask == 1] and i in ids[mask == 0]]
        if head != "ForMaskedLM":  # whose decoder shares the table
            assert unseen and not table.grad[unseen].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["nystrom", "softmax"])
def test_half_precision_batches_equal_rows_alone(kind, dtype):
    model = make(attention_type=kind)
    ids, mask, spans = padded(LENGTHS, "left")
    exact = model(ids, attention_mask=mask).last_hidden_state.detach()
    model = model.to(dtype)
    together = model(ids, attention_mask=mask).last_hidden_state
    assert together.dtype == dtype and together.isfinite().all()
    for row, span in enumerate(spans):
        alone = model(ids[row : row + 1, span]).last_hidden_state[0].detach()
        # no further apart than half precision is from float32
        error = float((alone.float() - exact[row, span]).abs().max())
        assert float((together[row, span] - alone).detach().abs().max()) <= 2 * error + 1e-2
    together.float().square().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
def test_rows_of_padding_alone(backend):
    model = make("ForSequenceClassification", attn_implementation=backend)
    ids = make_ids(2, 12)
    mask = torch.zeros_like(ids)
    mask[0] = 1
    outputs = model(ids, attention_mask=mask, labels=torch.tensor([1, -100]))
    assert_close(outputs.logits[0], model(ids[:1]).logits[0])
    outputs.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    nothing = model(ids, attention_mask=torch.zeros_like(ids))
    assert nothing.logits.isfinite().all()


def test_positions_repeat_with_their_period():
    model = make(position_period=16, max_position_embeddings=16)
    ids = make_ids(1, 50)
    expected = model(ids, position_ids=torch.arange(50)[None] % 16 + 2).last_hidden_state
    assert torch.equal(model(ids).last_hidden_state, expected)


def test_attentions_of_a_padded_batch_equal_those_of_the_rows():
    for kind in ("nystrom", "softmax"):
        model = make(attention_type=kind)
        ids, mask, spans = padded((30, 19, 5), "both")
        together = model(ids, attention_mask=mask, output_attentions=True).attentions
        for row, span in enumerate(spans):
            alone = model(ids[row : row + 1, span], output_attentions=True).attentions
            for a, e in zip(together, alone, strict=True):
                a, e = (x if kind == "softmax" else x.to_dense() for x in (a, e))
                assert_close(a[row, :, span, span], e[0])


def test_packed_rows_return_softmax_maps_but_no_factors():
    ids, segments = make_ids(1, 20), torch.tensor([[0] * 9 + [1] * 11])
    (first, _) = make(attention_type="softmax")(ids, segment_ids=segments, output_attentions=True).attentions
    assert not first[0, :, :9, 9:].any() and not first[0, :, 9:, :9].any()
    with pytest.raises(ValueError, match="one document a row"):
        make()(ids, segment_ids=segments, output_attentions=True)


def test_the_answer_loss_of_a_padded_batch_is_the_mean_of_its_rows():
    model = make("ForQuestionAnswering")
    ids, mask, spans = padded((30, 19, 6), "left")
    answers = torch.tensor([2, 5, 3])
    starts = torch.tensor([span.start for span in spans]) + answers
    together = model(ids, attention_mask=mask, start_positions=starts, end_positions=starts).loss
    alone = [
        model(
            ids[row : row + 1, span], start_positions=answers[row : row + 1], end_positions=answers[row : row + 1]
        ).loss
        for row, span in enumerate(spans)
    ]
    assert_close(together, torch.stack(alone).mean())
