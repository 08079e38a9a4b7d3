"""One test for each fault of the existing implementations, by its number in the list of what users reported."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from longspan.models.nystromformer import NystromformerConfig, NystromformerModel
from longspan.ops.nystrom import nystrom_attention
from longspan.ops.nystrom.pinv import iterative_inverse
from tests.models.nystromformer.support import assert_close, make, make_ids, make_pair, small


def test_fault_41_nystrom_is_chosen_by_name_and_old_files_keep_their_numbers():
    old, peer = make_pair(segment_means_seq_len=6)  # equal numbers: softmax
    ids = make_ids(1, 30)
    assert old.config.uses_softmax and not make(segment_means_seq_len=6, attention_type="nystrom").config.uses_softmax
    assert_close(old(ids).last_hidden_state, peer(ids).last_hidden_state)
    old.config.attention_type = "nystrom"
    assert not torch.allclose(old(ids).last_hidden_state, peer(ids).last_hidden_state, atol=1e-2)


def test_fault_42_any_length_goes_with_any_number_of_landmarks():
    for landmarks in (1, 5, 7, 64):
        model = make(num_landmarks=landmarks, attention_type="nystrom")
        for length in (1, 2, 6, 7, 23, 24, 25, 64):
            assert model(make_ids(1, length)).last_hidden_state.isfinite().all()


def test_fault_43_documents_are_never_mixed():
    model = make(segment_means_seq_len=64, num_landmarks=8)
    ids = make_ids(2, 32)  # 2 * 32 == 64: one reshaped document in transformers
    changed = ids.clone()
    changed[1] = (changed[1] + 7) % 50
    assert torch.equal(model(ids).last_hidden_state[0], model(changed).last_hidden_state[0])


@torch.no_grad()
def test_fault_44_padded_batches_run_and_compile_on_the_nystrom_path():
    model = make(num_hidden_layers=1)
    ids, mask = make_ids(2, 24), torch.ones(2, 24, dtype=torch.long)
    mask[0, 17:] = 0
    padded = model(ids, attention_mask=mask).last_hidden_state
    assert_close(padded[0, :17], model(ids[:1, :17]).last_hidden_state[0])
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    assert_close(compiled(ids, attention_mask=mask).last_hidden_state[mask == 1], padded[mask == 1])


def test_fault_45_masked_tokens_do_not_leak_into_landmarks_or_convolution():
    for kind in ("nystrom", "softmax"):
        model = make(attention_type=kind)
        ids, mask = make_ids(1, 24), torch.ones(1, 24, dtype=torch.long)
        mask[0, 20:] = 0
        changed = ids.clone()
        changed[0, 20:] = (changed[0, 20:] + 7) % 50
        a, b = (model(x, attention_mask=mask).last_hidden_state[0, :20] for x in (ids, changed))
        assert torch.equal(a, b)


def test_fault_46_the_inverse_starts_from_one_documents_scale():
    generator = torch.Generator().manual_seed(0)
    a = (3 * torch.randn(2, 4, 8, 8, generator=generator)).softmax(-1)
    assert torch.equal(iterative_inverse(a)[:1], iterative_inverse(a[:1]))
    exact = torch.linalg.pinv(a)
    errors = [float((iterative_inverse(a, 6, scale) - exact).norm()) for scale in (False, True)]
    assert errors[1] < errors[0]  # each matrix's own scale converges faster
    q, k, v = (10 * torch.randn(2, 40, 2, 8, generator=generator) for _ in range(3))
    both, alone = nystrom_attention(q, k, v, 8), nystrom_attention(q[:1], k[:1], v[:1], 8)
    assert_close(both[:1], alone)


@pytest.mark.parametrize("spelling", ["inv_coeff_init_option", "inv_init_coeff_option"])
def test_fault_47_the_exact_start_of_the_inverse_works_in_both_spellings(spelling):
    torch.manual_seed(0)
    model = NystromformerModel(NystromformerConfig(**small(**{spelling: True}))).eval()
    ids = make_ids(1, 24)
    assert not torch.equal(model(ids).last_hidden_state, make()(ids).last_hidden_state)
    (factors, _) = model(ids, output_attentions=True).attentions
    assert factors.inverse.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fault_48_half_precision_modules(dtype):
    model = make().to(dtype)
    outputs = model(make_ids(2, 24), output_attentions=True)
    assert outputs.last_hidden_state.dtype == dtype and outputs.last_hidden_state.isfinite().all()
    assert outputs.attentions[0].inverse.dtype == torch.float32


def test_fault_49_no_mask_means_the_mask_of_ones():
    model = make()
    for length in (24, 25, 31):
        ids = make_ids(2, length)
        assert_close(model(ids).last_hidden_state, model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state)


def test_fault_50_no_nan_with_any_mask():
    model = make()
    ids, mask = make_ids(4, 24), torch.zeros(4, 24, dtype=torch.long)
    mask[1, 23], mask[2, ::2], mask[3, :7] = 1, 1, 1
    hidden = model(ids, attention_mask=mask).last_hidden_state
    hidden.square().sum().backward()
    assert hidden.isfinite().all() and all(p.grad.isfinite().all() for p in model.parameters())


def test_fault_51_causal_nystrom_is_refused_with_its_reason():
    q = torch.randn(1, 10, 2, 4)
    with pytest.raises(ValueError, match="every token would see the future"):
        nystrom_attention(q, q, q, 4, causal=True)


def test_fault_52_attentions_are_factors_and_one_row_costs_its_length():
    model = make(max_position_embeddings=3000, num_attention_heads=2)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            largest = max([largest, *(x.numel() for x in tree_leaves(result) if isinstance(x, torch.Tensor))])
            return result

    with torch.no_grad(), Watch():
        attentions = model(make_ids(1, 3000), output_attentions=True).attentions
        first_token = attentions[-1].rows([0])
    assert first_token.shape == (1, 2, 1, 3000) and largest < 3000 * 3000 // 10
    small_map = model(make_ids(1, 24), output_attentions=True).attentions[0]
    assert_close(small_map.to_dense()[:, :, :1], small_map.rows([0]))
