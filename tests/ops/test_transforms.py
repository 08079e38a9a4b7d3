"""The operations under torch.func, forward-mode gradients and FLOP counters."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, vjp, vmap
from torch.utils.flop_counter import FlopCounterMode

import longspan
from longspan import GlobalProjections, nystrom_attention, sliding_window_attention
from tests._support import assert_close, error

IDS = torch.tensor([[0] * 12 + [-1] * 8, [-1] * 3 + [4] * 17, [0] * 9 + [1] * 11])


def tensors(count, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(count))


def window(query, key, value, ids, hidden, weights, **options):
    """Of one row without its batch axis; the first token is global."""
    rows = (x.unsqueeze(0) for x in (query, key, value))
    marks = (torch.arange(len(query)) == 0).unsqueeze(0)
    projections = GlobalProjections(hidden.unsqueeze(0), *weights)
    options = {"segment_ids": ids.unsqueeze(0), "global_mask": marks, "global_projections": projections} | options
    return sliding_window_attention(*rows, (3, 2), **options)[0]


def nystrom(query, key, value, ids, hidden, weights, **options):
    rows = (x.unsqueeze(0) for x in (query, key, value))
    return nystrom_attention(*rows, 4, segment_ids=ids.unsqueeze(0), conv_weight=weights[0][:2, :3], **options)[0]


def given():
    weights = tuple(x for _ in range(3) for x in (*tensors(1, 8, 6), *tensors(1, 8)))
    return *tensors(3, 3, 20, 2, 4), IDS, *tensors(1, 3, 20, 6, seed=1), weights


@pytest.mark.parametrize("operation", [window, nystrom])
def test_vmap_equals_a_loop(operation):
    *rows, weights = given()
    expected = torch.stack([operation(*row, weights) for row in zip(*rows, strict=True)])
    assert vmap(operation, (0, 0, 0, 0, 0, None))(*rows, weights).equal(expected)
    assert vmap(operation, (0, 0, 0, 0, 0, None), out_dims=1)(*rows, weights).equal(expected.transpose(0, 1))
    last = [rows[0].movedim(0, 3), *rows[1:]]
    assert vmap(operation, (3, 0, 0, 0, 0, None))(*last, weights).equal(expected)


def test_dropout_under_vmap():
    q, k, v = (x[:1].expand(3, -1, -1, -1) for x in tensors(3, 3, 60, 2, 4))

    def call(query, key, value):
        return sliding_window_attention(*(x.unsqueeze(0) for x in (query, key, value)), (3, 2), dropout_p=0.5)[0]

    torch.manual_seed(0)
    same, other = (vmap(call, randomness=randomness)(q, k, v) for randomness in ("same", "different"))
    assert same[0].equal(same[1]) and not other[0].equal(other[1])
    with pytest.raises(RuntimeError, match="random"):
        vmap(call)(q, k, v)


def test_flex_attention_says_that_it_cannot():
    q, k, v = (x.float() for x in tensors(3, 2, 1, 20, 2, 16))
    with pytest.raises(NotImplementedError, match=r"'flex_attention' .* torch\.func .* 'sdpa' and 'reference' do"):
        vmap(lambda *x: sliding_window_attention(*x, (3, 2), backend="flex_attention"))(q, k, v)


@pytest.mark.parametrize("operation", [window, nystrom])
def test_gradients_of_each_row(operation):
    *rows, weights = given()

    def loss(query, key, value, hidden, weights, ids, backend="sdpa"):
        return operation(query, key, value, ids, hidden, weights, backend=backend).square().sum()

    wanted = (0, 1, 2, 3, 4)
    q, k, v, ids, hidden = rows
    found = vmap(grad(loss, wanted), (0, 0, 0, 0, None, 0))(q, k, v, hidden, weights, ids)
    for b in range(3):
        leaves = [x.clone().requires_grad_() for x in (q[b], k[b], v[b], hidden[b], *weights)]
        value = loss(*leaves[:4], leaves[4:], ids[b])
        expected = torch.autograd.grad(value, leaves, allow_unused=True)
        got = [x[b] for x in (*found[:4], *found[4])]
        assert_close(got, [torch.zeros_like(g) if e is None else e for g, e in zip(got, expected, strict=True)], 1e-12)


@pytest.mark.parametrize("operation", [window, nystrom])
def test_other_reverse_transforms_and_what_is_refused(operation):
    *rows, weights = given()
    q, *rest = (x[0] for x in rows)

    def call(query, backend="sdpa"):
        return operation(query, *rest, weights, backend=backend)

    (found,) = vjp(call, q)[1](torch.ones_like(q))
    leaf = q.clone().requires_grad_()
    (expected,) = torch.autograd.grad(call(leaf).sum(), leaf)
    assert error(found, expected) <= 1e-12
    jacobian = jacrev(lambda x: call(x).sum((0, 1)))(q)
    assert error(jacobian.sum(0), expected) <= 1e-12
    with pytest.raises(NotImplementedError, match=r"no forward-mode gradients .*'reference' .*has them"):
        jvp(call, (q,), (torch.ones_like(q),))
    with pytest.raises(NotImplementedError, match="no forward-mode gradients"), forward_ad.dual_level():
        call(forward_ad.make_dual(q, torch.ones_like(q)))
    with pytest.raises(NotImplementedError, match="no forward-mode gradients"):
        hessian(lambda x: call(x).sum())(q)
    with pytest.raises(NotImplementedError, match="no second gradients"):
        grad(lambda x: grad(lambda y: call(y).sum())(x).sum())(q)
    tangent = jvp(lambda x: call(x, "reference"), (q,), (torch.ones_like(q),))[1]
    assert tangent.abs().max() > 0.1


def small(family, **options):
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_hidden_layers": 2}
    options = {"vocab_size": 20, "max_position_embeddings": 5002} | sizes | options
    if family == "Nystromformer":
        options |= {"num_landmarks": 4, "attention_type": "nystrom", "conv_kernel_size": 3}
    else:
        options |= {"attention_window": 6}
    torch.manual_seed(0)
    return getattr(longspan, f"{family}Model")(getattr(longspan, f"{family}Config")(**options)).eval()


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
def test_models(family, backend):
    model = small(family, attn_implementation=backend)
    parameters = dict(model.named_parameters())
    ids = torch.randint(2, 20, (3, 30), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(30) < torch.tensor([[30], [11], [25]])).long()

    def call(parameters, ids, mask):
        return functional_call(model, parameters, (ids.unsqueeze(0), mask.unsqueeze(0))).last_hidden_state[0]

    for context in (torch.enable_grad, torch.no_grad):
        with context():
            found = vmap(call, (None, 0, 0))(parameters, ids, mask)
            expected = model(ids, mask).last_hidden_state
        assert error(found[mask > 0], expected[mask > 0]) <= 1e-6
    grads = vmap(grad(lambda p, x, m: (call(p, x, m) * m[:, None]).square().sum()), (None, 0, 0))(parameters, ids, mask)
    (model(ids, mask).last_hidden_state * mask[..., None]).square().sum().backward()
    for name, parameter in parameters.items():
        assert (
            error(grads[name].sum(0), torch.zeros_like(parameter) if parameter.grad is None else parameter.grad) <= 1e-4
        )


def test_a_long_row_under_vmap():
    """In inference such a row would be read in pieces, which a slice of a batch cannot be."""
    for family in ("Longformer", "Nystromformer"):
        model = small(family)
        ids = torch.randint(2, 20, (1, 5000), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = model(ids).last_hidden_state
            found = vmap(lambda x, model=model: model(x.unsqueeze(0)).last_hidden_state)(ids)[:, 0]
        assert error(found, expected) <= 1e-5


@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
def test_a_model_without_data(family):
    model = small(family).to("meta")
    ids = torch.zeros(2, 5000, dtype=torch.long, device="meta")
    with torch.no_grad():
        assert model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state.shape == (2, 5000, 8)


def count(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@pytest.mark.parametrize("dilation", [1, [1, 3]])
@pytest.mark.parametrize("sides", [(3, 2), (0, 9), (40, 40)])
def test_flops_of_a_window(sides, dilation):
    q, k, v = (x.requires_grad_() for x in tensors(3, 2, 20, 2, 4))
    offset = torch.arange(20)[None] - torch.arange(20)[:, None]
    pairs = 0
    for step in [dilation] * 2 if dilation == 1 else dilation:
        pairs += int(((offset >= -sides[0] * step) & (offset <= sides[1] * step) & (offset % step == 0)).sum())
    assert count(lambda: sliding_window_attention(q, k, v, sides, dilation=dilation)) == 2 * 4 * 4 * pairs
    marks = torch.zeros(2, 20, dtype=torch.bool)
    marks[1, :3] = True
    both = 2 * 4 * 4 * 2 * 3 * 20  # three global tokens see twenty and are seen by twenty, in two heads of 4
    total = 2 * 4 * 4 * pairs + both
    options = {"dilation": dilation, "global_mask": marks}
    assert count(lambda: sliding_window_attention(q, k, v, sides, **options)) == total
    assert count(lambda: sliding_window_attention(q, k, v, sides, **options).sum().backward()) == total + total * 5 // 2


def test_flops_of_nystrom_attention():
    q, k, v = (x.requires_grad_() for x in tensors(3, 2, 20, 3, 4))
    exact = count(lambda: nystrom_attention(q, k, v, 20))
    assert exact == 2 * 3 * 4 * 20 * 20 * 4
    options = {"num_landmarks": 5, "conv_weight": torch.ones(3, 3, dtype=torch.float64), "inverse_iterations": 2}
    inner = 2 * 3 * (4 * 5 * 5 * 4 + 2 * 8 * 5**3)
    forward = 2 * 3 * (8 * 20 * 5 * 4 + 2 * 20 * 4 * 3) + inner
    assert count(lambda: nystrom_attention(q, k, v, **options)) == forward
    assert count(lambda: nystrom_attention(q, k, v, **options).sum().backward()) > 3 * forward


@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
def test_flops_of_a_model(family):
    """Each layer's operation is counted, besides its linear layers."""
    model, ids = small(family), torch.full((1, 40), 5)
    q = torch.zeros(1, 40, 2, 4)
    if family == "Longformer":
        operator = torch.ops.longspan.window_attention
        expected = count(lambda: sliding_window_attention(q, q, q, (3, 3)))
    else:
        operator = torch.ops.longspan.nystrom_attention
        expected = count(lambda: nystrom_attention(q, q, q, 4, conv_weight=torch.ones(2, 3)))
    for context in (torch.no_grad, torch.enable_grad):
        with FlopCounterMode(display=False) as counter, context():
            model(ids)
        counts = counter.get_flop_counts()["Global"]
        assert counts[operator] == 2 * expected and counts[torch.ops.aten.addmm] > 0
