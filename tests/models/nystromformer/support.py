"""Small models, equal ones of transformers, and inputs that the tests of Nyströmformer share."""

from __future__ import annotations

import torch
import transformers
from transformers.models.nystromformer import modeling_nystromformer as peer_module

from longspan.models import nystromformer

HEADS = (
    "Model",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForMultipleChoice",
    "ForTokenClassification",
    "ForQuestionAnswering",
)
TOKEN_HEADS = ("Model", "ForMaskedLM", "ForTokenClassification", "ForQuestionAnswering")
VOCAB, LENGTH, LANDMARKS = 50, 24, 6


def small(**changes):
    """Sizes, with weights large enough that attention is far from uniform."""
    return {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "segment_means_seq_len": LENGTH,
        "num_landmarks": LANDMARKS,
        "conv_kernel_size": 5,
        "initializer_range": 0.3,
        "hidden_dropout_prob": 0.0,
        "num_labels": 3,
        **changes,
    }


def make(head="Model", seed=0, **changes):
    torch.manual_seed(seed)
    config = nystromformer.NystromformerConfig(**small(**changes))
    return getattr(nystromformer, f"Nystromformer{head}")(config).eval()


def make_pair(head="Model", seed=0, **changes):
    """Ours and the one of transformers, of equal weights."""
    ours = make(head, seed, **changes)
    peer = getattr(peer_module, f"Nystromformer{head}")(transformers.NystromformerConfig(**small(**changes))).eval()
    peer.load_state_dict(ours.state_dict())
    return ours, peer


def make_ids(*shape, seed=0):
    return torch.randint(3, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def make_labels(head, batch=1, length=LENGTH, num_labels=3):
    generator = torch.Generator().manual_seed(7)

    def draw(high, *shape):
        return torch.randint(0, high, shape, generator=generator)

    if head == "ForMaskedLM":
        labels = draw(VOCAB, batch, length)
        labels[:, ::3] = -100
        return {"labels": labels}
    if head == "ForSequenceClassification":
        return {"labels": draw(num_labels, batch)}
    if head == "ForMultipleChoice":
        return {"labels": torch.zeros(batch, dtype=torch.long)}
    if head == "ForTokenClassification":
        return {"labels": draw(num_labels, batch, length)}
    if head == "ForQuestionAnswering":
        return {"start_positions": draw(length, batch), "end_positions": draw(length, batch)}
    return {}


def predictions(outputs):
    """The tensors that a head predicts, by name."""
    names = ("last_hidden_state", "logits", "start_logits", "end_logits")
    return {name: outputs[name] for name in names if name in outputs}


def assert_close(actual, expected, tolerance=1e-5):
    """Within ``tolerance`` of the largest value expected."""
    assert actual.shape == expected.shape
    error = float((actual.detach().double() - expected.detach().double()).abs().max())
    bound = tolerance * max(float(expected.detach().abs().max()), 0.1)
    assert error <= bound, f"{error:.2e} > {bound:.2e}"
