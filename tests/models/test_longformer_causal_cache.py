"""The rolling cache: equal to the full forward at any length, in constant memory; also through generate()."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longspan.models.longformer.causal_attention import CausalVisibility, sinusoids
from tests.models.causal_cases import build, draw_ids


@torch.no_grad()
def read(model, ids, pieces, mask=None):
    """Logits of a text in pieces of these sizes, the last one over and over."""
    cache, found, start = model.new_cache(), [], 0
    while start < ids.shape[1]:
        stop = min(start + pieces[min(len(found), len(pieces) - 1)], ids.shape[1])
        masks = {} if mask is None else {"attention_mask": mask[:, :stop]}
        found.append(model(ids[:, start:stop], past_key_values=cache, **masks).logits)
        start = stop
        assert cache.get_seq_length() == stop
    return torch.cat(found, 1)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 2, 5, 14, 60, 400]), min_size=2, max_size=2),
    st.lists(st.lists(st.integers(1, 4), min_size=4, max_size=4), min_size=2, max_size=2),
    st.lists(st.sampled_from([1, 2, 7, 50]), min_size=1, max_size=3),
    st.sampled_from([20, 90]),
    st.integers(0, 12),
)
def test_equals_the_full_forward(windows, dilation, pieces, length, padding):
    model = build(attention_window=windows, dilation=dilation, initializer_range=0.1)
    ids = draw_ids(2, length)
    mask = None
    if padding:
        mask = torch.ones_like(ids)
        mask[0, :padding] = 0
    found = read(model, ids, pieces, mask)
    with torch.no_grad():
        expected = model(ids, attention_mask=mask).logits
    valid = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    assert float((found - expected)[valid].abs().max()) < 1e-5


@pytest.mark.parametrize(("backend", "sizes"), [("eager", ([150],)), ("sdpa", ([1], [333]))])
def test_equals_it_far_beyond_the_window(backend, sizes):
    model, ids = build(attention_window=[6, 8], initializer_range=0.1), draw_ids(1, 400)
    model.set_attn_implementation(backend)
    with torch.no_grad():
        expected = model(ids).logits
    for pieces in sizes:
        assert float((read(model, ids, pieces) - expected).abs().max()) < 1e-5


def test_memory_does_not_grow():
    model = build(attention_window=[6, 16])
    ids, cache, held = draw_ids(2, 200), model.new_cache(), []
    with torch.no_grad():
        for place in range(200):
            model(ids[:, place : place + 1], past_key_values=cache)
            rings = [ring for layer in cache.layers for ring in layer._rings]
            held.append(sum(x.numel() for ring in rings for x in (ring.key, ring.value)))
    # 16 features, contents and positions; (window // 2 + 1) * dilation tokens of a ring, of 4 heads in the first
    # layer, of 2, 1 and 1 in the second
    assert set(held[30:]) == {2 * 2 * 16 * (4 * 4 + 9 * (2 * 1 + 2 + 3))}


@torch.no_grad()
def test_scores_depend_on_the_distance_however_long_the_text():
    model = build()
    attention = model.longformer.encoder.layer[0].attention.self
    hidden = torch.randn(1, 301, 32)

    def scores(start):
        seen = CausalVisibility(None, *sinusoids(start, 301, 8, hidden), None)
        query, key, _ = attention._project(hidden, seen)
        return torch.einsum("bihd,bjhd->bhij", query, key)

    near = scores(0)
    assert float((scores(10**9) - near).abs().max()) < 1e-5 * float(near.abs().max())


def test_greedy_generation():
    model, ids = build(), draw_ids(2, 5)
    found = model.generate(ids, max_new_tokens=50, do_sample=False)
    expected = ids
    with torch.no_grad():
        for _ in range(50):
            expected = torch.cat([expected, model(expected).logits[:, -1:].argmax(-1)], 1)
    assert torch.equal(found, expected)
    assert torch.equal(model.generate(ids, max_new_tokens=50, use_cache=False), expected)


def test_sampling_and_beams_as_without_a_cache():
    model, ids = build(initializer_range=0.1), draw_ids(2, 5)
    for options in (
        {"do_sample": True, "top_k": 10, "num_return_sequences": 2},
        {"num_beams": 3},
        {"do_sample": True, "num_beams": 2, "temperature": 2.0},
    ):
        found = []
        for use_cache in (True, False):
            torch.manual_seed(1)
            found.append(model.generate(ids, max_new_tokens=20, use_cache=use_cache, **options))
        assert torch.equal(*found)


def test_rows_padded_on_the_left_go_on_as_alone():
    model, ids = build(), draw_ids(3, 12)
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    mask[2, :1] = 0
    found = model.generate(ids, attention_mask=mask, max_new_tokens=50)
    chunked = model.generate(ids, attention_mask=mask, max_new_tokens=50, prefill_chunk_size=5)
    for row, first in ((0, 7), (1, 0), (2, 1)):
        alone = model.generate(ids[row : row + 1, first:], max_new_tokens=50)
        assert torch.equal(found[row, first:], alone[0]) and torch.equal(chunked[row, first:], alone[0])


def test_generation_goes_on_with_a_cache():
    model, ids = build(), draw_ids(1, 6)
    whole = model.generate(ids, max_new_tokens=40)
    cache = model.new_cache()
    part = model.generate(ids, max_new_tokens=15, past_key_values=cache)
    assert cache.get_seq_length() == 20  # the last token was predicted, not read
    assert torch.equal(model.generate(part, max_new_tokens=25, past_key_values=cache), whole)


def test_only_the_last_logits():
    model, ids = build(), draw_ids(2, 30)
    assert torch.equal(model(ids, logits_to_keep=4).logits, model(ids).logits[:, -4:])
    assert torch.equal(model(ids, logits_to_keep=40).logits, model(ids).logits)  # more than there are


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}, "row 1 ends with padding: pad on the left"),
        ({"cache_implementation": "static"}, "cache_implementation must be None .* got 'static'"),
    ],
)
def test_generation_that_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build().generate(draw_ids(2, 3), max_new_tokens=2, **options)


def test_a_cache_is_for_inference():
    model, ids = build(), draw_ids(1, 4)
    cache = model(ids, use_cache=True).past_key_values
    assert not cache.layers[0]._rings[0].key.requires_grad
    with pytest.raises(ValueError, match=r"under torch\.no_grad"):
        model(ids, past_key_values=cache)
    with torch.no_grad(), pytest.raises(ValueError, match=r"shape \(1, 4\) or, with the tokens in the cache, \(1, 8\)"):
        model(ids, past_key_values=cache, attention_mask=torch.ones(1, 6))
    with torch.no_grad(), pytest.raises(ValueError, match="past_key_values is of a batch of 1, the input of 2"):
        model(ids.expand(2, -1), past_key_values=cache)
    windows = model.config.windows
    model.set_attention_window([2 * window for window in windows])
    with torch.no_grad(), pytest.raises(ValueError, match=r"of the windows .*: begin another"):
        model(ids, past_key_values=cache)
    model.set_attention_window(windows)
    with torch.no_grad():
        model(ids, past_key_values=cache)


def test_a_backend_without_a_cache_says_so():
    model = build()
    model.set_attn_implementation("flex_attention")
    with pytest.raises(NotImplementedError, match="'eager', 'sdpa', 'cpp' for a cache, got 'flex_attention'"):
        model.new_cache()
