"""A padded batch as one row, and back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from longspan.models.packing import find_packing
from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    assert_same,
    at_valid,
    batch,
    build,
    labels,
    scaled_error,
)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 999))
def test_valid_tokens_come_back_and_padding_is_one_of_its_row(count: int, length: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(-2, 3, (count, length), generator=generator)
    edge = torch.randint(0, length + 1, (count, 2), generator=generator)
    column = torch.arange(length)
    ids[(column < edge[:, :1]) | (column >= edge[:, 1:])] = -1  # empty where the edges cross
    packing = find_packing(ids)
    spans = [(row >= 0).nonzero().flatten() for row in ids]
    sizes = [int(span[-1] - span[0]) + 1 if len(span) else 0 for span in spans]
    tokens = sum(size + (size < length) for size in sizes)
    assert (packing is None) == (tokens > 7 / 8 * ids.numel())
    if packing is None:
        return
    assert len(packing.kept) == tokens
    x = torch.randn(count, length, 3, generator=generator)
    packed = packing.pack(x)
    assert packed.shape == (1, len(packing.kept), 3) and packing.segment_ids.shape == packed.shape[:2]
    back = packing.unpack(packed)
    assert torch.equal(back[ids >= 0], x[ids >= 0])
    for row in range(count):
        valid = (ids[row] >= 0).nonzero().flatten()
        outside = torch.ones(length, dtype=torch.bool)
        if len(valid):
            outside[valid[0] : valid[-1] + 1] = False
            assert torch.equal(back[row][~outside], x[row][~outside])  # masked tokens inside keep their place
        if outside.any():
            assert (back[row][outside] == back[row][outside][0]).all()
            assert (x[row][outside] == back[row][outside][0]).all(-1).any()
    # equal ids before and after, for tokens of the same row only
    flat = torch.where(ids < 0, -1, ids + 10 * torch.arange(count)[:, None]).flatten()[packing.kept]
    assert torch.equal(flat[:, None] == flat, packing.segment_ids[0][:, None] == packing.segment_ids[0])


def test_left_as_it_is() -> None:
    full = torch.zeros(2, 32, dtype=torch.int64)
    assert find_packing(None) is None and find_packing(full) is None
    little = full.clone()
    little[0, -1] = -1
    assert find_packing(little) is None
    assert find_packing(full[:0]) is None


def padded() -> Tensor:
    return torch.cat([torch.zeros(1, 32), torch.full((1, 32), -1.0)]).long()


def test_not_where_a_program_is_traced() -> None:
    assert find_packing(padded()) is not None
    compiled = torch.compile(lambda ids: find_packing(ids) is None, backend="eager", fullgraph=True)
    assert compiled(padded())
    assert find_packing(padded().to("meta")) is None


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", CLASSES)
def test_model_is_the_same_packed_and_padded(name: str, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs at every token, padding included, the loss, and the gradients of all weights."""
    model = build(name)
    rows = batch([60, 3, 17, 1], "ragged", side)
    given = {**rows.inputs(name, output_hidden_states=True), **labels(name, rows)}
    results = []
    for packs in (True, False):
        seen = []
        with monkeypatch.context() as patch:
            if not packs:
                patch.setattr("longspan.models.longformer.modeling.find_packing", lambda ids: None)
            patch.setattr(type(model.base_model.encoder), "forward", _recorded(model.base_model.encoder, seen))
            model.zero_grad()
            output = model(**given)
            total = output.last_hidden_state[rows.valid].square().sum() if name == BASE else output.loss
        total.backward()
        assert seen == [(1, 84) if packs else (4, 60)]
        results.append((output, [x.grad.clone() for x in model.parameters() if x.grad is not None]))
    (packed, packed_grads), (plain, plain_grads) = results
    if name != CHOICE:
        assert_same(packed, plain, torch.ones_like(rows.valid), 1e-5)
    for a, b in zip(packed.hidden_states, plain.hidden_states, strict=True):
        assert scaled_error(at_valid(a, rows.valid), at_valid(b, rows.valid)) <= 1e-5
    if name != BASE:
        torch.testing.assert_close(packed.loss, plain.loss, atol=1e-6, rtol=1e-6)
    largest = max(float(x.abs().max()) for x in plain_grads)
    for a, b in zip(packed_grads, plain_grads, strict=True):
        assert (a - b).abs().max() <= 1e-5 * largest


def _recorded(encoder, seen):
    forward = type(encoder).forward

    def run(self, hidden_states, *args, **kwargs):
        seen.append(tuple(hidden_states.shape[:2]))
        return forward(self, hidden_states, *args, **kwargs)

    return run


def test_hooks_and_maps_see_the_rows_as_they_came() -> None:
    model = build(BASE)
    rows = batch([40, 3])
    assert model(**rows.inputs(BASE), output_attentions=True).attentions[0].shape[0] == 2
    seen: list[Tensor] = []
    handle = model.encoder.layer[1].register_forward_hook(lambda module, args, out: seen.append(out[0]))
    expected = model(**rows.inputs(BASE)).last_hidden_state
    handle.remove()
    assert torch.equal(seen[0], expected)
    assert scaled_error(model(**rows.inputs(BASE)).last_hidden_state, expected) <= 1e-5


def test_hooks_on_the_way_back_and_on_every_module_see_the_rows_as_they_came() -> None:
    model, rows = build(BASE).train(), batch([50, 7, 3], "first")
    seen = []
    hook = model.encoder.layer[1].register_full_backward_hook(lambda _, __, grads: seen.append(grads[0].shape[:2]))
    model(**rows.inputs(BASE)).last_hidden_state.sum().backward()
    hook.remove()
    model.eval()
    kind = type(model.encoder.layer[0])
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, _, out: seen.append(out[0].shape[:2]) if type(module) is kind else None
    )
    try:
        with torch.no_grad():
            model(**rows.inputs(BASE))
    finally:
        hook.remove()
    assert len(seen) > 1 and set(seen) == {rows.valid.shape}


def test_what_a_hook_kept_is_not_written_over() -> None:
    model, rows, kept = build(BASE).eval(), batch([50], "first"), []
    for layer in model.encoder.layer:
        for part in (layer.attention.output.dropout, layer.output.dropout):
            part.register_forward_hook(lambda _, __, out: kept.append((out, out.clone())))
    with torch.no_grad():
        model(**rows.inputs(BASE))
    assert kept and all(torch.equal(now, then) for now, then in kept)


def test_dense_attention_is_not_given_one_long_row(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = build(BASE, attn_implementation="eager").eval(), batch([50, 7, 3], "first")
    shapes = []
    forward = type(model.encoder).forward
    monkeypatch.setattr(
        type(model.encoder), "forward", lambda self, x, *a, **k: shapes.append(x.shape[:2]) or forward(self, x, *a, **k)
    )
    with torch.no_grad():
        model(**rows.inputs(BASE))
    assert shapes == [rows.valid.shape]
