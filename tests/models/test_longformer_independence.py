"""A result depends neither on padding, nor on neighbours, nor on the backend."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from longspan import LongformerConfig, LongformerModel
from longspan.models.longformer.embeddings import LongformerEmbeddings
from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    MASKED_LM,
    PAD,
    QUESTION,
    SEP,
    SEQUENCE,
    TOKEN,
    VOCABULARY,
    WITHOUT_POOLING,
    assert_same,
    at_valid,
    batch,
    build,
    config,
    labels,
    predictions,
    scaled_error,
    words,
)

SIDES = ("left", "right")


def double(name: str, **changes: Any) -> Any:
    """In float64, where what is equal is equal to 1e-12."""
    return build(name, **changes).double()


def rows_of(output: Any, count: int) -> dict[str, Tensor]:
    """Predictions row by row; the scores of choices are rows as well."""
    return {key: x.reshape(count, -1) if key == "logits" and x.dim() == 2 else x for key, x in output.items()}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("marks", ["none", "ragged", "all"])
def test_backends_agree(name: str, marks: str) -> None:
    rows = batch([41, 20, 1], marks, "left", seed=3)
    results, gradients = [], []
    for implementation in ("eager", "sdpa"):
        model = build(name, attn_implementation=implementation).double()
        output = model(**rows.inputs(name, **labels(name, rows)))
        results.append(output)
        total = (
            output.loss if name != BASE else sum(at_valid(x, rows.valid).sum() for x in predictions(output).values())
        )
        total.backward()
        gradients.append({key: p.grad for key, p in model.named_parameters()})
    assert_same(results[1], results[0], rows.valid, 1e-11)
    largest = max(float(x.abs().max()) for x in gradients[0].values())
    for key, x in gradients[0].items():
        assert scaled_error(gradients[1][key], x, 1e-3 * largest) <= 1e-10, key


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("marks", ["default", "ragged"])
def test_row_of_a_batch_equals_the_row_alone(name: str, side: str, marks: str) -> None:
    model, lengths = double(name), [33, 17, 6, 1]
    rows = batch(lengths, "ragged", side, seed=4)
    rows.ids[0, [5, 12, 13]] = SEP
    dropped = ["global_attention_mask"] if marks == "default" else []

    def run(which: Any, text: Any = slice(None)) -> dict[str, Tensor]:
        part = type(rows)(*(x[which, text] for x in (rows.ids, rows.mask, rows.marks)))
        given = part.inputs(name)
        for key in dropped:
            del given[key]
        return rows_of(model(**given), len(part.ids))

    together = run(slice(None))
    for row, length in enumerate(lengths):
        text = slice(0, length) if side == "right" else slice(33 - length, 33)
        for key, alone in run(slice(row, row + 1), text).items():
            found = together[key][row : row + 1]
            found = found[:, text] if found.shape[1:2] == (33,) else found
            assert scaled_error(found, alone) <= 1e-11, (key, row)


@pytest.mark.parametrize("name", CLASSES)
def test_more_padding_changes_nothing(name: str) -> None:
    model, length = double(name), 20
    expected = None
    for before, after in ((0, 0), (1, 0), (0, 3), (13, 12), (64, 1)):
        rows = batch([length + before + after], seed=5)
        rows.ids[:, :before] = rows.ids[:, before + length :] = PAD
        rows.mask[:, :before] = rows.mask[:, before + length :] = 0
        rows.ids[:, before : before + length] = words(length, seed=6)
        given = rows.inputs(name)
        del given["global_attention_mask"]
        found = {key: at_valid(x, rows.valid) for key, x in predictions(model(**given)).items()}
        expected = expected or found
        for key, x in expected.items():
            assert scaled_error(found[key], x) <= 1e-11, (key, before, after)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("marks", ["default", "ragged"])
def test_changing_a_masked_token_changes_nothing(name: str, marks: str) -> None:
    """Padding and holes inside the text, with any id but the padding id, separators included."""
    model = double(name)
    rows = batch([30, 22], "ragged", seed=7)
    rows.ids[0, [4, 9, 10]] = SEP
    rows.mask[0, [6, 7, 20]] = 0
    rows.mask[1, [0, 5]] = 0
    hidden = rows.mask == 0
    results = []
    for seed in (0, 1, 2):
        other = words(2, 30, seed=seed) if seed else torch.full((2, 30), SEP)
        ids = torch.where(hidden, other, rows.ids)
        given = type(rows)(ids, rows.mask, rows.marks).inputs(name)
        if marks == "default":
            del given["global_attention_mask"]
        results.append(model(**given))
    for other in results[1:]:
        assert_same(other, results[0], rows.valid, 0.0)


@pytest.mark.parametrize("name", CLASSES)
def test_gradients_come_from_valid_tokens_only(name: str) -> None:
    model = double(name)
    rows = batch([24, 15], "first", "left")
    embeds = model.get_input_embeddings()(rows.ids).detach().requires_grad_()
    given = rows.inputs(name, **labels(name, rows))
    del given["input_ids"]
    output = model(**given, inputs_embeds=embeds[None] if name == CHOICE else embeds)
    assert all(x.isfinite().all() for x in predictions(output).values())
    if name in (BASE, QUESTION):  # as in transformers, the softmax of answers runs over padding as well
        total = sum(at_valid(x, rows.valid).sum() for x in predictions(output).values())
    else:
        total = output.loss
    (gradient,) = torch.autograd.grad(total, embeds)
    assert not gradient[~rows.valid].any() and gradient.isfinite().all()
    assert gradient[rows.valid].any(-1).all() or name in (SEQUENCE, CHOICE)


# the segments of a row: a digit is a document, a dot is padding
LAYOUTS = {
    "packed": "000000000000011111112222222222333",
    "gaps": "..00000..1111...22222222222222..3",
    "shuffled ids": "777777777222222225555555555555550",
}
INTERLEAVED = "010101010101222211110000003333333"


def read(layout: str) -> Tensor:
    return torch.tensor([[-1 if c == "." else int(c) for c in layout]])


@pytest.mark.parametrize("name", WITHOUT_POOLING)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("embedded", [False, True])
def test_packed_documents_equal_documents_alone(name: str, layout: str, embedded: bool) -> None:
    model, segments = double(name), read(LAYOUTS[layout])
    ids = words(*segments.shape, seed=8)
    # a separator in two documents: their questions end there; the others have none, and their first token is global
    ids[0, [4, 7, 25]] = SEP
    marks = None if name == QUESTION else (torch.rand(segments.shape, generator=torch.manual_seed(1)) < 0.2).long()

    def run(columns: Tensor, packed: Tensor | None) -> dict[str, Tensor]:
        chosen = None if marks is None else marks[:, columns]
        given: dict[str, Any] = {"global_attention_mask": chosen, "segment_ids": packed}
        if embedded:
            given["inputs_embeds"] = model.get_input_embeddings()(ids[:, columns])
        else:
            given["input_ids"] = ids[:, columns]
        return {key: x for key, x in model(**given).items() if key != "pooler_output"}

    together = run(torch.arange(segments.shape[1]), segments)
    for document in segments[segments >= 0].unique():
        columns = (segments[0] == document).nonzero().squeeze(1)
        for key, alone in run(columns, None).items():
            assert scaled_error(together[key][:, columns], alone) <= 1e-11, (key, int(document))


def test_interleaved_documents_do_not_see_each_other() -> None:
    """A window counts columns: documents woven into each other are not what they are alone, but they stay apart."""
    model, segments = double(TOKEN), read(INTERLEAVED)
    ids = words(*segments.shape, seed=8)
    before = model(ids, segment_ids=segments).logits
    other = torch.where(segments == 1, words(*segments.shape, seed=9), ids)
    after = model(other, segment_ids=segments).logits
    assert torch.equal(after[segments != 1], before[segments != 1])
    assert not torch.equal(after[segments == 1], before[segments == 1])


@pytest.mark.parametrize("name", WITHOUT_POOLING)
def test_segments_with_a_mask_and_several_rows(name: str) -> None:
    """A padded batch, the same as segments, and both together are one and the same."""
    model, rows = double(name), batch([21, 9], "first")
    given = rows.inputs(name)
    segments = torch.where(rows.valid, 3, -2)
    expected = model(**given)
    del given["attention_mask"]
    assert_same(model(**given, segment_ids=segments), expected, rows.valid, 1e-12)
    both = model(**given, segment_ids=torch.full_like(segments, 9), attention_mask=rows.mask)
    assert_same(both, expected, rows.valid, 1e-12)


def test_loss_of_packed_documents() -> None:
    """Padding between documents is no place for an answer."""
    model, segments = double(QUESTION), read(LAYOUTS["gaps"])
    ids = words(*segments.shape)
    inside = model(ids, segment_ids=segments, start_positions=torch.tensor([3]), end_positions=torch.tensor([4])).loss
    half = model(ids, segment_ids=segments, start_positions=torch.tensor([3]), end_positions=torch.tensor([7])).loss
    outside = model(ids, segment_ids=segments, start_positions=torch.tensor([0]), end_positions=torch.tensor([7])).loss
    assert inside.item() > half.item() > outside.item() == 0


@pytest.mark.parametrize("name", CLASSES)
def test_inputs_embeds(name: str) -> None:
    """Without padding ids, embeddings of the words give what their ids give."""
    model, rows = double(name), batch([26, 26], "ragged", seed=2)
    given = rows.inputs(name, **labels(name, rows))
    expected = model(**given)
    embeds = model.get_input_embeddings()(given.pop("input_ids"))
    found = model(**given, inputs_embeds=embeds)
    assert_same(found, expected, rows.valid, 1e-12)
    if name != BASE:
        torch.testing.assert_close(found.loss, expected.loss)


def positions(ids: Tensor | None = None, segments: Tensor | None = None, width: int = 0, **changes: Any) -> Tensor:
    embeds = torch.zeros(1, width, 16) if ids is None else None
    return LongformerEmbeddings(config(**changes))._positions(ids, embeds, segments)


def test_position_rule() -> None:
    """The count of ids other than the padding id; the column without ids; from the start in each segment."""
    ids = torch.tensor([[9, 9, PAD, 9, PAD], [PAD, PAD, 9, 9, 9]])
    assert positions(ids).tolist() == [[2, 3, 1, 4, 1], [1, 1, 2, 3, 4]]
    assert positions(width=4).tolist() == [[2, 3, 4, 5]]
    packed = torch.tensor([[4, 4, -1, 0, 0, 0, 4]])
    assert positions(words(1, 7), packed).tolist() == [[2, 3, 1, 2, 3, 4, 4]]
    assert positions(None, packed, 7).tolist() == [[2, 3, 1, 2, 3, 4, 4]]
    assert positions(ids, pad_token_id=None).tolist() == [[1, 2, 3, 4, 5]] * 2
    assert positions(ids, pad_token_id=0).tolist() == [[1, 2, 3, 4, 5]] * 2


def test_position_period() -> None:
    ids = torch.tensor([[9, 9, PAD, 9, 9, 9, 9, 9]])
    assert positions(ids, position_period=3).tolist() == [[2, 3, 1, 4, 2, 3, 4, 2]]
    assert positions(None, None, 5, position_period=2).tolist() == [[2, 3, 2, 3, 2]]
    packed = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    assert positions(words(1, 8), packed, position_period=3).tolist() == [[2, 3, 4, 2, 3, 4, 2, 3]]


def test_position_period_serves_any_length() -> None:
    """With a table of 12 rows; within a period it changes nothing, and the same text repeats its hidden states."""
    periodic = double(TOKEN, position_period=10, max_position_embeddings=12, attention_window=[4, 0])
    plain = double(TOKEN, max_position_embeddings=12, attention_window=[4, 0])
    ids = words(1, 10)
    torch.testing.assert_close(periodic(ids).logits, plain(ids).logits)
    long = periodic(ids.repeat(1, 50)).logits
    torch.testing.assert_close(long[:, 200:210], long[:, 310:320])
    with pytest.raises(ValueError, match="positions for 10"):
        plain(ids.repeat(1, 2))


@pytest.mark.parametrize("name", [MASKED_LM, TOKEN])
def test_chunked_feed_forward(name: str) -> None:
    rows = batch([29, 10], "first")
    expected = double(name)(**rows.inputs(name))
    for chunk in (1, 8, 29, 100):
        found = double(name, chunk_size_feed_forward=chunk)(**rows.inputs(name))
        assert_same(found, expected, rows.valid, 1e-12)


@pytest.mark.parametrize("form", ["integers", "bool", "float", "merged", "both"])
@pytest.mark.parametrize("name", CLASSES)
def test_forms_of_the_global_mask(name: str, form: str) -> None:
    model, rows = double(name), batch([25, 13], "ragged", seed=6)
    expected = model(**rows.inputs(name))
    marks: Tensor | None = rows.marks | (1 - rows.mask)  # a global token on padding is ignored
    mask = rows.mask
    if form == "bool":
        marks, mask = marks.bool(), mask.bool()
    elif form == "float":
        marks, mask = marks.float(), mask.float()
    elif form == "merged":
        mask, marks = mask + rows.marks, None
    elif form == "both":
        some = rows.marks * (torch.arange(25) % 2)
        mask, marks = mask + some, rows.marks - some
    given = {"input_ids": rows.ids, "attention_mask": mask, "global_attention_mask": marks}
    if name == CHOICE:
        given = {key: x if x is None else x[None] for key, x in given.items()}
    assert_same(model(**given), expected, rows.valid, 0.0)


def test_vocabulary_reaches_its_last_id() -> None:
    assert build(TOKEN)(torch.tensor([[0, VOCABULARY - 1]])).logits.shape == (1, 2, 5)


def test_100_000_tokens_in_one_pass() -> None:
    """Far from the beginning, a token's result is that of the text around it, read alone."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 2}
    config = LongformerConfig(
        **sizes, vocab_size=50, attention_window=8, max_position_embeddings=66, position_period=64
    )
    model = LongformerModel(config, add_pooling_layer=False).eval()
    ids = torch.randint(4, 50, (1, 100_000))
    ids[0, -640:] = ids[0, -1280:-640]
    with torch.inference_mode():
        long = model(ids).last_hidden_state
        shift = (100_000 - 1280) % 64  # the excerpt's positions are those that it has in the whole
        positions = 2 + (torch.arange(1280)[None] + shift) % 64
        short = model(ids[:, -1280:], position_ids=positions).last_hidden_state
    assert long.shape == (1, 100_000, 16) and long.isfinite().all()
    torch.testing.assert_close(long[:, -1200:], short[:, -1200:], atol=1e-5, rtol=0)
