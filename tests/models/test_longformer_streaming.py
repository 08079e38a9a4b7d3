"""Long input in pieces, in inference: the same numbers, in the memory of two hidden states."""

import sys

import pytest
import torch
from torch import Tensor

from longspan.models.longformer import attention
from longspan.models.longformer.attention import LongformerSelfAttention, Visibility
from longspan.ops.window import cpp
from tests._support import run_python
from tests.models.longformer_cases import BASE, CLASSES, assert_same, batch, build, predictions, scaled_error, words


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[slice]:
    """The pieces that were read; they are 16 tokens long, and any input is read in them."""
    monkeypatch.setattr(attention, "PIECE", 16)
    monkeypatch.setattr(attention, "LEAST_PIECES", 0)
    read: list[slice] = []
    stream = LongformerSelfAttention.stream

    def recorded(self, *args):
        for rows, context in stream(self, *args):
            read.append(rows)
            yield rows, context

    monkeypatch.setattr(LongformerSelfAttention, "stream", recorded)
    return read


@pytest.mark.parametrize("marks", ["none", "first", "ragged", "all"])
@pytest.mark.parametrize("name", CLASSES)
def test_equals_one_piece(name: str, marks: str, pieces: list[slice]) -> None:
    model = build(name)
    rows = batch([100, 61, 33], marks)
    expected = model(**rows.inputs(name))  # keeps a graph: not in pieces
    assert not pieces
    with torch.inference_mode():
        found = model(**rows.inputs(name))
    assert len(pieces) >= 2 * 12 and pieces[0] == slice(0, 16)
    assert_same(found, expected, torch.ones_like(rows.valid) if name != "LongformerForMultipleChoice" else rows.valid)


def test_equals_one_piece_for_packed_documents(pieces: list[slice]) -> None:
    model = build(BASE, attention_window=[12, 60])
    ids, segments = words(2, 90), (torch.arange(90) // 37).expand(2, -1)
    marks = (torch.arange(90) % 40 == 0).long().expand(2, -1)
    given = {"segment_ids": segments, "global_attention_mask": marks, "output_hidden_states": True}
    expected = model(ids, **given)
    with torch.no_grad():
        found = model(ids, **given)
    assert pieces
    for a, b in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert scaled_error(a, b) <= 1e-5


@pytest.mark.skipif(cpp.missing() is not None, reason=str(cpp.missing()))
def test_pieces_in_cpp(pieces: list[slice]) -> None:
    rows = batch([100, 61], "ragged")
    with torch.no_grad():
        found = build(BASE, attn_implementation="cpp")(**rows.inputs(BASE))
        expected = build(BASE, attn_implementation="eager")(**rows.inputs(BASE))
    assert pieces
    assert_same(found, expected, rows.valid)


def test_half_precision(pieces: list[slice]) -> None:
    model = build(BASE).to(torch.bfloat16)
    rows = batch([100], "first")
    exact = build(BASE)(**rows.inputs(BASE)).last_hidden_state
    expected = model(**rows.inputs(BASE)).last_hidden_state
    with torch.no_grad():
        found = model(**rows.inputs(BASE)).last_hidden_state
    assert pieces and found.dtype == torch.bfloat16
    assert scaled_error(found, exact) <= 1.5 * scaled_error(expected, exact)


def test_what_the_caller_holds_is_left_alone(pieces: list[slice]) -> None:
    model = build(BASE, num_hidden_layers=5, attention_window=8)
    embeds = torch.randn(1, 70, 16, generator=torch.Generator().manual_seed(0))
    kept = embeds.clone()
    expected = model(inputs_embeds=embeds).last_hidden_state
    with torch.no_grad():
        first = model(inputs_embeds=embeds).last_hidden_state
        second = model(inputs_embeds=embeds).last_hidden_state
        assert scaled_error(first, expected) <= 1e-5 and torch.equal(first, second)
        model.encoder(embeds, Visibility(None, None), False, False)
    assert pieces and torch.equal(embeds, kept)


@pytest.mark.parametrize("where", ["encoder.layer.1", "encoder.layer.1.output.LayerNorm", "embeddings"])
def test_what_a_hook_saw_stays_what_it_was(where: str, pieces: list[slice]) -> None:
    model = build(BASE, num_hidden_layers=4, attention_window=8)
    seen: list[Tensor] = []

    def keep(module, args, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    model.get_submodule(where).register_forward_hook(keep)
    with torch.no_grad():
        model(words(1, 70))
    found = seen.copy()
    expected = model(words(1, 70)) and seen[len(found) :]
    assert len(found) == 1 and found[0].shape == (1, 70, 16)
    assert scaled_error(found[0], expected[0]) <= 1e-5


@pytest.mark.parametrize("how", ["training", "eager", "maps", "hook", "adapter", "short"])
def test_otherwise_in_one_piece(how: str, pieces: list[slice]) -> None:
    model = build(BASE, attn_implementation="eager" if how == "eager" else "sdpa")
    if how == "training":
        model.train()
    for layer in model.encoder.layer:
        if how == "hook":
            layer.intermediate.register_forward_hook(lambda *_: None)
        if how == "adapter":
            layer.attention.self.query_global = torch.nn.Sequential(layer.attention.self.query_global)
    with torch.no_grad():
        output = model(words(1, 5 if how == "short" else 70), output_attentions=how == "maps")
    assert not pieces and all(x.isfinite().all() for x in predictions(output).values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads peak memory from /proc")
def test_memory_of_two_hidden_states() -> None:
    """Peak memory above the weights, for 4 layers; a fresh process, since an allocator hides repeated peaks."""
    code = """
import ctypes, sys
from pathlib import Path
from longspan import LongformerConfig, LongformerModel
length = int(sys.argv[1])
config = LongformerConfig(hidden_size=256, num_attention_heads=4, intermediate_size=1024, num_hidden_layers=4,
                          vocab_size=50, max_position_embeddings=length + 2, attention_window=64)
model = LongformerModel(config).eval()
ids, marks = torch.ones(1, length, dtype=torch.long) * 7, torch.zeros(1, length, dtype=torch.long)
marks[:, 0] = 1
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
with torch.inference_mode():
    model(ids[:, :4096], global_attention_mask=marks[:, :4096])
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    model(ids, global_attention_mask=marks)
print((peak() - before) / (length * 256 * 4))
"""
    states = float(run_python(code, "65536"))
    assert states <= 2.6, f"{states:.2f} hidden states"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_in_pieces(dtype: torch.dtype, pieces: list[slice]) -> None:
    model = build(BASE)
    rows = batch([100, 61], "first")
    with torch.inference_mode():
        expected = model(**rows.inputs(BASE)).last_hidden_state
        with torch.autocast("cpu", dtype=dtype):
            found = model(**rows.inputs(BASE)).last_hidden_state
    assert pieces
    assert scaled_error(found[rows.valid].float(), expected[rows.valid]) <= 16 * torch.finfo(dtype).eps


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_knows_no_threshold(strict: bool, pieces: list[slice], monkeypatch) -> None:
    monkeypatch.setattr(attention, "LEAST_PIECES", 200 // 16)
    model = build(BASE)
    dynamic = {"input_ids": {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens")}}
    for traced, other in (((2, 70), (2, 150)), ((2, 150), (2, 70))):
        with torch.no_grad():
            program = torch.export.export(model, (words(*traced),), dynamic_shapes=dynamic, strict=strict).module()
            ids = words(*other)
            assert scaled_error(program(ids).last_hidden_state, model(ids).last_hidden_state) <= 1e-5
