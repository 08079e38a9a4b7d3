"""What the heads of both families share."""

from __future__ import annotations

import pytest
import torch

from longspan.models.longformer import LongformerConfig, LongformerForMaskedLM
from longspan.models.nystromformer import NystromformerConfig, NystromformerForMaskedLM

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def make(family: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if family == "longformer":
        return LongformerForMaskedLM(LongformerConfig(attention_window=4, **SMALL)).eval()
    return NystromformerForMaskedLM(NystromformerConfig(num_landmarks=4, **SMALL)).eval()


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_kept_logits_are_those_of_all_with_loss_and_gradients(family: str) -> None:
    model = make(family)
    ids = torch.randint(3, 40, (2, 12))
    labels = torch.full((2, 12), -100).index_put((torch.tensor([0, 0, 1]), torch.tensor([2, 9, 11])), torch.tensor(7))
    keep = labels != -100
    whole = model(input_ids=ids, labels=labels)
    wanted = torch.autograd.grad(whole.loss, model.parameters(), allow_unused=True)
    kept = model(input_ids=ids, labels=labels, logits_to_keep=keep)
    found = torch.autograd.grad(kept.loss, model.parameters(), allow_unused=True)
    assert kept.logits.shape == (3, 40)
    torch.testing.assert_close(kept.logits, whole.logits[keep])
    torch.testing.assert_close(kept.loss, whole.loss)
    assert [g is None for g in found] == [g is None for g in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        if ours is not None:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
def test_no_token_kept_leaves_a_loss_of_nothing_with_a_graph(family: str) -> None:
    model = make(family)
    ids = torch.randint(3, 40, (1, 6))
    keep = torch.zeros(1, 6, dtype=torch.bool)
    outputs = model(input_ids=ids, labels=torch.full((1, 6), -100), logits_to_keep=keep)
    assert outputs.logits.shape == (0, 40) and outputs.loss.item() == 0
    outputs.loss.backward()


@pytest.mark.parametrize("family", ["longformer", "nystromformer"])
@pytest.mark.parametrize(
    ("keep", "error", "words"),
    [
        (
            torch.ones(1, 6, dtype=torch.int64),
            TypeError,
            "logits_to_keep must be a tensor of torch.bool, got torch.int64",
        ),
        ([True] * 6, TypeError, "got list"),
        (torch.ones(1, 5, dtype=torch.bool), ValueError, r"must be of shape \(1, 6\).*got \(1, 5\)"),
    ],
)
def test_what_cannot_be_kept_is_refused(family: str, keep: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(family)(input_ids=torch.randint(3, 40, (1, 6)), logits_to_keep=keep)
