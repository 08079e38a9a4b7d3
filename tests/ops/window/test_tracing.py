"""torch.compile and torch.export: one graph, right at other lengths and counts of global tokens than the traced."""

import pytest
import torch
from torch.export import Dim

from longspan.ops import GlobalProjections, sliding_window_attention
from longspan.ops.window import sdpa
from tests._support import assert_close
from tests.ops.window.cases import Inputs, make, random_globals, random_ids

# batch, length, share of global tokens; the first is the traced one, where no two sizes are equal
SHAPES = [(5, 45, 0.1), (3, 1, 1.0), (2, 7, 0.0), (4, 130, 0.02), (2, 71, 1.0), (3, 33, 0.3)]
WINDOW = (5, 4)
OPTIONS = {
    "plain": {},
    "everything": {"hidden": 6, "segment_ids": True, "global_mask": True},
    "dilated": {"dilation": [1, 3], "global_mask": True},
    "causal, no projections": {"window_size": (9, 0), "segment_ids": True, "global_mask": True},
}


def build(name: str, batch: int, length: int, share: float) -> Inputs:
    options = dict(OPTIONS[name])
    if "segment_ids" in options:
        options["segment_ids"] = random_ids(batch, length, length)
    if "global_mask" in options:
        options["global_mask"] = random_globals(batch, length, length, share)
    return make(batch, length, options.pop("window_size", WINDOW), **options).to(torch.float32)


class Attention(torch.nn.Module):
    """The operation as a module of tensors only."""

    def __init__(self, inputs: Inputs, **options):
        super().__init__()
        self.options = {k: v for k, v in inputs.options.items() if not isinstance(v, torch.Tensor)} | options

    def forward(self, query, key, value, segment_ids, global_mask, projected):
        return sliding_window_attention(
            query,
            key,
            value,
            segment_ids=segment_ids,
            global_mask=global_mask,
            global_projections=GlobalProjections(*projected) if projected else None,
            **self.options,
        )


def arguments(inputs: Inputs) -> list:
    """Fresh leaves, in the order of :meth:`Attention.forward`."""
    attended, projected = ([x.clone().requires_grad_() for x in xs] for xs in (inputs.attended, inputs.projected))
    return [*attended, inputs.options.get("segment_ids"), inputs.options.get("global_mask"), projected]


def run(function, inputs: Inputs) -> list[torch.Tensor]:
    args = arguments(inputs)
    leaves = [*args[:3], *args[5]]
    torch.manual_seed(0)
    context = function(*args)
    return [context, *torch.autograd.grad(context, leaves, inputs.grad)]


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("name", "backend"), [*((name, "aot_eager") for name in OPTIONS), ("everything", "inductor")]
)  # fmt: skip
def test_compile(name, backend):
    plain = Attention(build(name, *SHAPES[0]))
    compiled = torch.compile(plain, fullgraph=True, dynamic=True, backend=backend)
    for shape in SHAPES:
        inputs = build(name, *shape)
        assert_close(run(compiled, inputs), run(plain, inputs), 1e-6)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2  # a length of one is another graph


def test_compile_with_dropout_equals_eager_with_the_same_seed():
    plain = Attention(build("everything", *SHAPES[0]), dropout_p=0.3)
    compiled = torch.compile(plain, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in SHAPES[:4]:
        inputs = build("everything", *shape)
        assert_close(run(compiled, inputs), run(plain, inputs), 1e-6)


def test_compile_with_the_window_as_an_argument():
    def attend(query, window, dilation):
        return sliding_window_attention(query, query, query, (window, window), dilation=dilation)

    compiled = torch.compile(attend, fullgraph=True, dynamic=True, backend="aot_eager")
    query = torch.randn(2, 30, 2, 4)
    for window, dilation in ((3, 1), (5, 2), (0, 3), (100, 1)):
        assert_close([compiled(query, window, dilation)], [attend(query, window, dilation)], 1e-6)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("strict", [False, True], ids=["non-strict", "strict"])
def test_export(name, strict):
    inputs = build(name, *SHAPES[0])
    plain, args = Attention(inputs), arguments(inputs)
    axes = {0: Dim("batch"), 1: Dim("length")}
    shapes = [None if x is None else axes for x in args[:5]]
    shapes.append([axes, *[None] * 6] if args[5] else [])
    program = torch.export.export(plain, tuple(args), dynamic_shapes=shapes, strict=strict).module()
    for shape in [*SHAPES, (1, 5, 0.2)]:
        found = arguments(build(name, *shape))
        assert_close([program(*found)], [plain(*found)], 1e-6)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dropout_p", [0.0, 0.3])
@pytest.mark.parametrize("length", [4, 45])
def test_operators_are_registered_soundly(name, dropout_p, length):
    inputs = build(name, 2, length, 0.2)
    query, key, value, segment_ids, global_mask, projected = arguments(inputs)
    steps = inputs.options.get("dilation", [1, 1])
    seed = torch.tensor([5]) if dropout_p else None
    rest = (segment_ids, global_mask, projected, *inputs.options["window_size"], steps, 0.5, dropout_p, seed)
    torch.library.opcheck(torch.ops.longspan.window_attention.default, (query, key, value, *rest, "aten"))
    with torch.no_grad():
        context, lse = sdpa._forward_op(query, key, value, *rest, "aten")
        torch.library.opcheck(
            torch.ops.longspan.window_attention_backward.default,
            (inputs.grad, query.detach(), key.detach(), value.detach(), context, lse, *rest),
            test_utils=("test_schema", "test_faketensor"),
        )


def test_meta_tensors():
    inputs = build("everything", 2, 45, 0.2)
    args = torch.utils._pytree.tree_map_only(torch.Tensor, lambda x: x.to("meta"), arguments(inputs))
    context = Attention(inputs)(*args)
    assert context.device.type == "meta" and context.shape == inputs.grad.shape
