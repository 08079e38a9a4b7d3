import pytest
import torch

from tests.models.nystromformer.support import (
    HEADS,
    TOKEN_HEADS,
    assert_close,
    make,
    make_ids,
    make_labels,
    predictions,
)

# no size of the first shape is that of another axis (heads, choices): equal numbers are taken for one
SHAPES = [(5, 20), (3, 31), (2, 5), (2, 57)]


def arguments(head, rows, length, packed=False):
    ids = make_ids(rows, length)
    mask = torch.ones_like(ids)
    mask[0, : length // 3] = 0
    mask[1, length // 2 :] = 0
    # padding of one id, as tokenizers make it: packed, one such token stands for all of its row
    values = {"input_ids": ids.masked_fill(mask == 0, 1), "attention_mask": mask}
    if packed:
        values["segment_ids"] = (torch.arange(length) >= length // 2).long().expand(rows, length)
    if head == "ForMultipleChoice":
        values = {name: x[:, None].expand(rows, 2, length) for name, x in values.items()}
    return values | make_labels(head, rows, length)


def check(model, compiled, values):
    expected = model(**values)
    actual = compiled(**values)
    for name, value in predictions(expected).items():
        assert_close(actual[name], value)
    if "loss" in expected:
        assert_close(actual.loss, expected.loss)
    weight = model.get_input_embeddings().weight
    grads = []
    for outputs in (actual, expected):
        target = outputs.loss if "loss" in outputs else outputs.last_hidden_state.square().sum()
        grads.append(torch.autograd.grad(target, weight)[0])
    assert_close(*grads, 1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_compile_every_head(head):
    model = make(head, num_hidden_layers=1)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in SHAPES:
        check(model, compiled, arguments(head, *shape, packed=head in TOKEN_HEADS[1:]))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_compile_softmax_with_repeating_positions():
    model = make(num_hidden_layers=1, attention_type="softmax", position_period=16)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in SHAPES[:3]:
        check(model, compiled, arguments("Model", *shape))


def test_compile_with_inductor():
    model = make("ForTokenClassification", num_hidden_layers=1)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for shape in SHAPES[:3]:
        check(model, compiled, arguments("ForTokenClassification", *shape))


@torch.no_grad()
def test_compile_with_outputs_and_no_mask():
    model = make(num_hidden_layers=1)
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in SHAPES[:2]:
        ids = make_ids(*shape)
        a, e = (f(ids, output_attentions=True, output_hidden_states=True) for f in (compiled, model))
        assert_close(a.attentions[0].to_dense(), e.attentions[0].to_dense())
        assert_close(a.hidden_states[1], e.hidden_states[1])


@pytest.mark.parametrize(
    ("head", "strict"),
    [("Model", True), ("Model", False), ("ForSequenceClassification", False), ("ForTokenClassification", False)],
)
def test_export_at_other_batches_and_lengths(head, strict):
    model = make(head)

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return tuple(predictions(self.model(input_ids, attention_mask)).values())

    def inputs(rows, length):
        values = arguments("Model", max(rows, 2), length)
        return tuple(x[:rows] for x in values.values())

    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with torch.no_grad():
        program = torch.export.export(Wrapped(), inputs(2, 20), dynamic_shapes=(axes, axes), strict=strict).module()
        for shape in [*SHAPES, (1, 1), (1, 33)]:
            values = inputs(*shape)
            for actual, expected in zip(program(*values), Wrapped()(*values), strict=True):
                assert_close(actual, expected)


def test_export_of_packed_rows():
    model = make()

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, segment_ids):
            return self.model(input_ids, segment_ids=segment_ids).last_hidden_state

    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with torch.no_grad():
        segments = torch.tensor([[0] * 9 + [1] * 11, [-1] * 5 + [4] * 15])
        program = torch.export.export(Wrapped(), (make_ids(2, 20), segments), dynamic_shapes=(axes, axes)).module()
        for shape in ((1, 40), (3, 7)):
            segments = torch.arange(shape[1]).expand(shape) // 4 - 1
            ids = make_ids(*shape).masked_fill(segments < 0, 1)
            assert_close(program(ids, segments), Wrapped()(ids, segments))
