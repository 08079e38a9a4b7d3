"""Known faults of other implementations, one named test each: cost, numerics, tracing, maps and patterns.

26 to 28 (graph breaks, programs that are wrong at other lengths) are in test_longformer_compile.py and
test_longformer_export.py, 31 (int8) is in test_integration_adapters.py; 21 is the benchmarks' business.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import Tensor

from longspan import sliding_window_attention
from longspan.ops.window import band, columns, dense, dense_map, projected_rows, rows, sdpa
from tests._support import Watch
from tests.models.longformer_cases import (
    BASE,
    CHOICE,
    CLASSES,
    HEADS,
    MASKED_LM,
    QUESTION,
    TOKEN,
    assert_same,
    at_valid,
    batch,
    build,
    labels,
    predictions,
    scaled_error,
    words,
)


def count_scores(monkeypatch: pytest.MonkeyPatch, model: Any, length: int, marks: str = "none") -> int:
    """Query-key pairs per head that one pass computes."""
    total = 0
    for module in (band, dense, columns, rows, projected_rows):
        original = module.attend

        def counted(query: Tensor, key: Tensor, *args: Any, _original: Any = original) -> Any:
            nonlocal total
            total += query.shape[0] * query.shape[2] * key.shape[2]
            return _original(query, key, *args)

        monkeypatch.setattr(module, "attend", counted)
    with torch.no_grad():
        model(**batch([length], marks).inputs(BASE))
    monkeypatch.undo()
    return total


def test_fault_18_work_follows_the_window_and_never_exceeds_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere: slower than full attention up to 2,048 tokens, and hardly faster with a smaller window."""
    narrow, wide = (
        build(BASE, num_hidden_layers=1, attention_window=window, max_position_embeddings=5000) for window in (32, 256)
    )
    for model, window in ((narrow, 32), (wide, 256)):
        for length in (1, 16, window + 1):
            assert count_scores(monkeypatch, model, length) == length**2
        longer = count_scores(monkeypatch, model, 4096)
        assert longer <= 4096 * (window + 65)
        assert longer < 2.05 * count_scores(monkeypatch, model, 2048)
    assert count_scores(monkeypatch, wide, 4096) > 3 * count_scores(monkeypatch, narrow, 4096)
    extra = count_scores(monkeypatch, narrow, 4096, "first") - count_scores(monkeypatch, narrow, 4096)
    assert extra <= 2 * 2 * 4096  # one column, and one row that holds the queries of both heads


@pytest.mark.parametrize("marks", ["none", "first"])
def test_fault_19_memory_is_a_few_hidden_states(marks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere: the probabilities of all windows in float32, and copies of them."""
    length, window = 4096, 256
    monkeypatch.setattr(sdpa, "_forward", sdpa._forward_op._init_fn)  # an operator hides its inside
    model = build(BASE, attention_window=window, max_position_embeddings=5000)
    with Watch() as watch, torch.no_grad():
        model(**batch([length], marks).inputs(BASE))
    table = 5000 * 16  # positions
    assert watch.elements <= max(table, 2 * (length + window) * 24), watch.operation
    assert watch.elements < length * window / 4


def test_fault_20_nothing_is_kept_for_each_length() -> None:
    """Elsewhere: host memory grows with the number of different lengths until the process is killed."""

    def held() -> int:
        gc.collect()
        return sum(x.untyped_storage().nbytes() for x in gc.get_objects() if type(x) is Tensor)

    model = build(TOKEN)
    with torch.no_grad():
        model(words(1, 200))
        before = held()
        for length in range(1, 200, 5):
            model(**batch([length, length], "first").inputs(TOKEN), output_attentions=True)
        assert held() <= before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fault_22_scores_near_the_range_of_float16(dtype: torch.dtype) -> None:
    """Elsewhere: NaN in training, from masks of -10,000 and from scores that leave float16."""
    model = build(TOKEN)
    with torch.no_grad():
        model.longformer.encoder.layer[0].attention.self.query.weight.mul_(8000)
    rows_ = batch([50, 30, 4], "ragged")
    rows_.mask[2] = 0
    states: list[tuple[Tensor, ...]] = []
    attention = model.longformer.encoder.layer[0].attention.self
    attention.register_forward_hook(
        lambda module, args, out: states.append((module.query(args[0]), module.key(args[0])))
    )
    model = model.to(dtype)
    output = model(**rows_.inputs(TOKEN, **labels(TOKEN, rows_)))
    query, key = (x[0].float().view(-1, 2, 8).transpose(0, 1) for x in states[0])
    assert (query @ key.transpose(1, 2) * 8**-0.5).abs().max() > 4e4
    output.loss.backward()
    assert output.logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("length", [5, 30])
def test_fault_23_a_row_that_sees_nothing_is_0(implementation: str, length: int) -> None:
    """Elsewhere: NaN from the softmax of a row whose scores are all masked."""
    model = build(BASE, attn_implementation=implementation)
    embeds = torch.randn(2, length, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.ones(2, length, dtype=torch.long)
    mask[0] = mask[1, 3:] = 0
    contexts: list[Tensor] = []
    model.encoder.layer[0].attention.self.register_forward_hook(lambda *args: contexts.append(args[2][0]))
    output = model(inputs_embeds=embeds, attention_mask=mask, global_attention_mask=1 - mask)
    assert not contexts[0][mask == 0].any() and output.last_hidden_state.isfinite().all()
    output.last_hidden_state.sum().backward()
    assert embeds.grad is not None and embeds.grad.isfinite().all()


def test_fault_24_loss_without_a_target_is_0() -> None:
    """Elsewhere: NaN when nothing is masked."""
    model, rows_ = build(MASKED_LM), batch([12])
    loss = model(rows_.ids, labels=torch.full_like(rows_.ids, -100)).loss
    loss.backward()
    assert loss.item() == 0 and not model.lm_head.dense.weight.grad.any()


@pytest.mark.parametrize("name", CLASSES)
def test_fault_25_backends_are_chosen_by_name_and_agree(name: str) -> None:
    """Elsewhere: any attn_implementation but eager is refused."""
    rows_ = batch([35, 14], "ragged")
    models = [build(name, attn_implementation=choice) for choice in ("eager", "sdpa")]
    outputs = [model(**rows_.inputs(name)) for model in models]
    assert [model.config._attn_implementation for model in models] == ["eager", "sdpa"]
    assert_same(outputs[1], outputs[0], rows_.valid)
    with pytest.raises(ValueError, match=r"'eager', 'sdpa'.*'flash_attention_2'"):
        models[0].set_attn_implementation("flash_attention_2")
    models[0].set_attn_implementation("sdpa")
    assert_same(models[0](**rows_.inputs(name)), outputs[1], rows_.valid, 0.0)


@pytest.mark.filterwarnings("ignore")
def test_fault_29_a_trace_serves_other_shapes() -> None:
    """Elsewhere: a TorchScript trace of length 60 is wrong at 100 and fails for another number of global tokens."""
    model = build(BASE, return_dict=False)
    first = batch([60, 41], "first")
    given = (first.ids, first.mask, first.marks)
    with torch.no_grad():
        traced = torch.jit.trace(model, given, check_trace=False)
        for lengths, marks in (([100, 7, 60], "ragged"), ([40], "none"), ([1, 1], "all"), ([60, 60], "first")):
            rows_ = batch(lengths, marks)
            found = traced(rows_.ids, rows_.mask, rows_.marks)
            for a, b in zip(found, model(rows_.ids, rows_.mask, rows_.marks), strict=True):
                assert scaled_error(at_valid(a, rows_.valid), at_valid(b, rows_.valid)) <= 1e-6


@pytest.mark.parametrize("name", CLASSES)
def test_fault_30_no_shape_depends_on_the_data(name: str) -> None:
    """Elsewhere: compilers for accelerators fail on shapes that follow the mask. On meta there is no data."""
    rows_ = batch([21, 9], "first")
    model = build(name)
    given = rows_.inputs(name, **labels(name, rows_))
    expected = {key: x.shape for key, x in predictions(model(**given)).items()}
    output = model.to("meta")(**{key: x.to("meta") for key, x in given.items()})
    assert {key: x.shape for key, x in predictions(output).items()} == expected


@pytest.mark.parametrize("marks", ["none", "first", "ragged", "all"])
def test_fault_33_maps_have_one_layout_and_sum_to_1(marks: str) -> None:
    """Elsewhere: their shapes follow the device and the globals, and rows of global tokens hold filler."""
    model = build(BASE, attention_window=[6, 4])
    rows_ = batch([26, 15], marks, seed=3)
    contexts: list[tuple[Tensor, ...]] = []
    for layer in model.encoder.layer:
        attention = layer.attention.self
        attention.register_forward_hook(
            lambda module, args, out: contexts.append((module.value(args[0]), module.value_global(args[0]), out[0]))
        )
    output = model(**rows_.inputs(BASE, output_attentions=True))
    most = int(rows_.marks.sum(1).max())
    assert (output.global_attentions is None) == (most == 0)
    for layer, window in enumerate((6, 4)):
        local = output.attentions[layer]
        assert local.shape == (2, 2, 26, most + window + 1)
        value, value_global, context = contexts[layer]
        for row, length in enumerate((26, 15)):
            globals_ = None if most == 0 else output.global_attentions[layer][row : row + 1]
            full = dense_map(local[row : row + 1], globals_, (window // 2,) * 2, rows_.marks[row : row + 1])[0]
            valid = torch.arange(26) < length
            torch.testing.assert_close(full.sum(-1), valid.float().expand(2, -1))
            # the map explains the context: weights times values, the global projections for global rows
            chosen = rows_.marks[row].bool()[:, None, None]
            by_row = torch.einsum("hij,jhd->ihd", full, value[row].view(26, 2, 8))
            globally = torch.einsum("hij,jhd->ihd", full, value_global[row].view(26, 2, 8))
            torch.testing.assert_close(torch.where(chosen, globally, by_row).flatten(1), context[row])


@pytest.mark.parametrize("name", CLASSES)
def test_fault_34_forward_probes_no_parameter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere: StopIteration in the replicas of DataParallel, which have no parameters to ask."""
    model, rows_ = build(name), batch([12, 7], "first")
    given = rows_.inputs(name, **labels(name, rows_))

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("forward asked for the parameters")

    for attribute in ("parameters", "named_parameters", "buffers", "state_dict"):
        monkeypatch.setattr(torch.nn.Module, attribute, refuse)
    for attribute in ("device", "dtype"):
        monkeypatch.setattr(type(model), attribute, property(refuse))
    output = model(**given, output_attentions=True)
    # what a gather over devices concatenates has the batch first
    first = 1 if name == CHOICE else 2
    assert all(x.shape[0] == first for x in predictions(output).values())
    assert all(x.shape[0] == 2 for x in (*output.attentions, *output.global_attentions))


def test_fault_37_causal_and_dilated_windows() -> None:
    """Elsewhere: the patterns of the paper exist in one binary for an old CUDA only."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 20, 3, 4, generator=generator).double().requires_grad_() for _ in range(3))
    place = torch.arange(20)
    offset = place[None] - place[:, None]
    for window, steps in (((4, 0), 1), ((2, 2), [1, 2, 4]), ((3, 0), [2, 1, 3])):
        masks = []
        for step in [steps] * 3 if isinstance(steps, int) else steps:
            masks.append((offset >= -window[0] * step) & (offset <= window[1] * step) & (offset % step == 0))
        scores = torch.einsum("bihd,bjhd->bhij", query, key) / 2
        weights = scores.masked_fill(~torch.stack(masks), float("-inf")).softmax(-1)
        expected = torch.einsum("bhij,bjhd->bihd", weights, value)
        found = sliding_window_attention(query, key, value, window, dilation=steps)
        torch.testing.assert_close(found, expected)
        for a, b in zip(
            *(torch.autograd.grad(x.square().sum(), (query, key, value)) for x in (found, expected)), strict=True
        ):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", HEADS)
def test_fault_54_a_short_batch_changes_nothing_for_the_next(name: str) -> None:
    """Elsewhere: a short batch switches to full attention for good."""
    model, rows_ = build(name), batch([70, 50])
    expected = model(**rows_.inputs(name))
    model(**batch([3]).inputs(name))
    assert_same(model(**rows_.inputs(name)), expected, rows_.valid, 0.0)


def test_fault_54_answers_do_not_depend_on_the_length_of_the_batch() -> None:
    model, short = build(QUESTION).double(), batch([6])
    alone = model(**short.inputs(QUESTION))
    padded = batch([90, 6], seed=0)
    padded.ids[1, :6] = short.ids[0]
    together = model(**padded.inputs(QUESTION))
    assert scaled_error(together.start_logits[1, :6], alone.start_logits[0]) <= 1e-11
