"""transformers' Nyströmformer says the same with longspan's attention where it is right, else what is right."""

import pytest
import torch
import transformers

from longspan.models import nystromformer
from tests.models.nystromformer.support import (
    HEADS,
    LENGTH,
    assert_close,
    make,
    make_ids,
    make_labels,
    make_pair,
    small,
)
from tests.models.speed_up.support import assert_same_gradients, assert_same_outputs, backward, sped_up_copy

CASES = {"nystrom": {}, "softmax": {"segment_means_seq_len": 6}}


def shape(head, batch=1):
    return (batch, 1, LENGTH) if head == "ForMultipleChoice" else (batch, LENGTH)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("head", HEADS)
def test_outputs_losses_and_gradients(head, case):
    _, theirs = make_pair(head, **CASES[case])
    ours = sped_up_copy(theirs)
    inputs = {"input_ids": make_ids(*shape(head)), "output_hidden_states": True, **make_labels(head)}
    e, a = theirs(**inputs), ours(**inputs)
    assert_same_outputs(a, e, torch.ones(1, LENGTH, dtype=torch.bool))
    backward(e)
    backward(a)
    assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("case", CASES)
def test_attention_outputs(case):
    _, theirs = make_pair(**CASES[case])
    ids = make_ids(1, LENGTH)
    e, a = (model(ids, output_attentions=True).attentions for model in (theirs, sped_up_copy(theirs)))
    for found, wanted in zip(a, e, strict=True):
        assert_close(found, wanted, 2e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_padded_batch_is_each_document_alone(case):
    _, theirs = make_pair(**CASES[case])
    ours = sped_up_copy(theirs)
    ids = make_ids(3, 40)
    lengths = [40, 17, 3]
    mask = (torch.arange(40) < torch.tensor(lengths)[:, None]).long()
    with torch.no_grad():
        for maps in (False, True):
            together = ours(ids, attention_mask=mask, output_attentions=maps).last_hidden_state
            for row, length in enumerate(lengths):
                alone = ours(ids[row : row + 1, :length]).last_hidden_state
                assert_close(together[row, :length], alone[0])


def test_a_padded_batch_is_what_longspan_says():
    ours = make()
    theirs = transformers.NystromformerModel(transformers.NystromformerConfig(**small())).eval()
    theirs.load_state_dict(ours.state_dict())
    ids = make_ids(2, 40)
    mask = (torch.arange(40) < torch.tensor([[40], [22]])).long()
    with torch.no_grad():
        with pytest.raises(RuntimeError):
            theirs(ids, attention_mask=mask)
        found = sped_up_copy(theirs)(ids, attention_mask=mask).last_hidden_state
        wanted = ours(ids, attention_mask=mask).last_hidden_state
    assert_close(found[mask.bool()], wanted[mask.bool()])


def test_one_document_does_not_change_another():
    _, theirs = make_pair()
    ours = sped_up_copy(theirs)
    ids, other = make_ids(2, LENGTH), make_ids(2, LENGTH)
    other[1] = make_ids(1, LENGTH, seed=9)[0]
    with torch.no_grad():
        e = [theirs(x).last_hidden_state[0] for x in (ids, other)]
        a = [ours(x).last_hidden_state[0] for x in (ids, other)]
    assert float((e[0] - e[1]).abs().max()) > 1e-6  # why theirs cannot be the measure of a batch
    assert torch.equal(a[0], a[1])


def test_a_mask_that_differs_between_queries_goes_to_the_original():
    _, theirs = make_pair(segment_means_seq_len=6)
    ours = sped_up_copy(theirs)
    ids = make_ids(1, 10)
    blocks = torch.arange(10) // 5
    mask = torch.where(blocks[:, None] == blocks, 0.0, torch.finfo(torch.float32).min)[None, None]
    bias = torch.linspace(-3, 0, 10).expand(1, 1, 10, 10)
    with torch.no_grad():
        for given in (mask, bias):
            found, wanted = (model(ids, attention_mask=given).last_hidden_state for model in (ours, theirs))
            assert_close(found, wanted)


def test_a_convolution_that_is_more_than_its_weight():
    class Twice(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return 2 * self.inner(x)

    _, theirs = make_pair()
    for layer in theirs.encoder.layer:
        layer.attention.self.conv = Twice(layer.attention.self.conv)
    ours = sped_up_copy(theirs)
    ids = make_ids(1, LENGTH)
    with torch.no_grad():
        assert_close(ours(ids).last_hidden_state, theirs(ids).last_hidden_state)
        mask = (torch.arange(LENGTH + 9) < LENGTH).long()[None]
        longer = torch.nn.functional.pad(ids, (0, 9), value=7)
        padded = ours(longer, attention_mask=mask).last_hidden_state[:, :LENGTH]
        assert_close(padded, ours(ids).last_hidden_state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    _, theirs = make_pair()
    ids = make_ids(1, LENGTH)
    with torch.no_grad():
        wanted = theirs(ids).last_hidden_state
        found = sped_up_copy(theirs).to(dtype)(ids).last_hidden_state
    assert float((found.float() - wanted).abs().max()) < 0.1 * float(wanted.abs().max())


def test_our_own_model_is_left_alone():
    import longspan

    model = make()
    assert longspan.speed_up(model) is model
    assert {type(m).__module__.split(".")[0] for m in model.modules()} <= {"longspan", "torch"}
    assert type(model) is nystromformer.NystromformerModel
