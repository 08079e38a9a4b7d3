"""Training: a step of a small model (forward, backward, AdamW), and the attention's forward and backward alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..fresh import Work
from ..measure import Contender, ratios
from ..models import LONGFORMER, THEIR_LONGFORMER, Reader, build, document, share_weights
from ..results import Run
from ..sizes import Sizes, sizes
from ..window_operations import CHUNKS, DENSE, OTHER_BACKENDS, OURS, Inputs, inputs, longspan_window, prepare

TITLE = "Training at 4,096 tokens: forward, backward, AdamW"
CASE = "benchmarks.parts.train:case"
LAYERS = 2
DROPOUT = 0.1


def fill(run: Run) -> None:
    """Steps without and with attention dropout, then the attention alone."""
    size = sizes(run.quick)
    for dropout in (0.0, DROPOUT):
        _steps(run, size, dropout)
    _attention(run, size)
    _kept(run, size)
    run.notes.append(
        "Memory is the peak above weights, gradients and the optimizer's state. Without dropout the gradients of all "
        "weights are compared. Dropout draws other numbers in each implementation, so there only finiteness is checked "
        "here; the expected value is a matter of the tests."
    )


class Trainer:
    """A model, its optimizer and a loss that is linear in the last hidden state."""

    def __init__(self, reader: Reader, tokens: int, width: int) -> None:
        self.reader, self.ids = reader, document(tokens)
        self.weights = torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(1)) / tokens
        self.optimizer = torch.optim.AdamW(reader.model.parameters(), lr=1e-5)
        reader.model.train()

    def backward(self, tokens: int | None = None) -> Tensor:
        """Loss of the first ``tokens`` tokens (None: all), after its backward pass."""
        # Gradients stay allocated, so that a peak is one above them.
        self.optimizer.zero_grad(set_to_none=False)
        loss = (self.reader.forward(self.ids[:, :tokens]) * self.weights[:, :tokens]).sum()
        loss.backward()
        return loss.detach()

    def step(self, tokens: int | None = None) -> Tensor:
        """One step of training; returns the loss."""
        loss = self.backward(tokens)
        self.optimizer.step()
        return loss

    def gradients(self) -> Tensor:
        """All gradients in one vector, zero where a weight got none."""
        self.backward()
        named = sorted(self.reader.model.named_parameters())
        return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for _, p in named])


def _trainer(name: str, size: Sizes, dropout: float) -> Trainer:
    fields = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": dropout}
    return Trainer(build(name, size, size.tokens, LAYERS, **fields), size.tokens, size.hidden)


def case(name: str, dropout: float, quick: bool) -> Work:
    """One step at full length, after one at a quarter of it that allocates gradients and optimizer state."""
    size = sizes(quick)
    trainer = _trainer(name, size, dropout)
    return Work(lambda: trainer.step(size.tokens // 4), trainer.step)


def _steps(run: Run, size: Sizes, dropout: float) -> None:
    theirs, ours = (_trainer(name, size, dropout) for name in (THEIR_LONGFORMER, LONGFORMER))
    share_weights(theirs.reader, ours.reader)
    contenders = [Contender(THEIR_LONGFORMER, theirs.step), Contender(LONGFORMER, ours.step)]
    for contender, trainer, other in ((contenders[0], theirs, ours), (contenders[1], ours, theirs)):
        contender.flops = 3 * trainer.reader.flops(size.tokens)  # backward is twice forward
        contender.memory = (CASE, {"name": contender.name, "dropout": dropout, "quick": run.quick})
        if dropout:
            contender.outcome, contender.shape = trainer.backward, ()
        else:
            contender.outcome, contender.expected = trainer.gradients, other.gradients
            contender.against = "the gradients of the other"
    label = f"attention dropout {dropout}" if dropout else "no dropout"
    run.compare(f"A step of {LAYERS} layers, {size.tokens:,} tokens, {label}", contenders, 5, contenders[1])
    key = "train.dropout" if dropout else "train.step"
    run.measure(key, ratios(*contenders))
    run.measure_peaks(f"{key}.memory", contenders[1], contenders[0])


def _forward_backward(work: Callable[[], Tensor], x: Inputs) -> Callable[[], Tensor]:
    """Runs ``work`` and its backward pass; returns the gradients of all inputs in one vector."""
    incoming = torch.randn(x.query.shape, generator=torch.Generator().manual_seed(1))

    def both() -> Tensor:
        return torch.cat([g.flatten() for g in torch.autograd.grad(work(), x.leaves(), incoming)])

    return both


def _attention(run: Run, size: Sizes) -> None:
    x = inputs(size, size.tokens, grad=True)
    works = {name: _forward_backward(prepare(name, x), x) for name in (CHUNKS, DENSE, OURS)}
    for name in OTHER_BACKENDS:
        works[f"longspan, backend {name}"] = _forward_backward(partial(longspan_window, x, name), x)
    reference = works[DENSE]()
    contenders = []
    for name, work in works.items():
        against, expected = (CHUNKS, works[CHUNKS]) if name == DENSE else (DENSE, lambda: reference)
        contenders.append(Contender(name, work, expected, against, optional="backend" in name))
    chunks, ours = contenders[0], contenders[2]
    run.compare(f"Attention alone, forward and backward, {size.tokens:,} tokens", contenders, 5, ours)
    run.measure("train.attention", ratios(chunks, ours))
    x = inputs(size, size.tokens, grad=True)
    contenders = [
        Contender(
            name, _forward_backward(prepare(name, x, DROPOUT), x), shape=(sum(leaf.numel() for leaf in x.leaves()),)
        )
        for name in (CHUNKS, OURS)
    ]
    run.compare(f"Attention alone, forward and backward, dropout {DROPOUT}", contenders, 5, contenders[-1])
    run.measure("train.attention.dropout", ratios(*contenders))


def _kept(run: Run, size: Sizes) -> None:
    """The largest tensor kept for backward under dropout, over the elements of an N x window map of all heads."""
    for name, key in ((OURS, "train.kept"), (CHUNKS, "train.kept.transformers")):
        x = inputs(size, size.tokens, grad=True)
        kept = [0]

        def pack(saved: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(saved.numel())
            return saved

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
            prepare(name, x, DROPOUT)()
        run.measure(key, [max(kept) / (size.tokens * (size.window + 1) * size.heads)])
