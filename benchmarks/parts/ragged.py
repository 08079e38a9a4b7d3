"""Documents of very different lengths as one padded batch, against each of them alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..measure import Contender, ratios
from ..models import LONGFORMER, NYSTROM, THEIR_LONGFORMER, Reader, build, document, share_weights
from ..results import Run
from ..sizes import sizes

TITLE = "Ragged batches: a padded batch against the sum of its documents alone"
LAYERS = 2


def fill(run: Run) -> None:
    """One group a family."""
    size = sizes(run.quick)
    lengths = [size.tokens // 64, size.tokens // 8, size.tokens]
    theirs, ours, nystrom = (build(name, size, size.tokens, LAYERS) for name in (THEIR_LONGFORMER, LONGFORMER, NYSTROM))
    share_weights(theirs, ours)
    for key, label, readers in (("longformer", LONGFORMER, [theirs, ours]), ("nystromformer", NYSTROM, [nystrom])):
        contenders = []
        for name, reader in zip((THEIR_LONGFORMER, label) if len(readers) == 2 else (label,), readers, strict=True):
            batch, alone = _pair(name, reader, lengths)
            contenders += [batch, alone]
        run.compare(f"{label}, {LAYERS} layers, lengths {lengths}", contenders, 7, contenders[-1])
        run.measure(f"ragged.{key}", ratios(contenders[-2], contenders[-1]))
        if len(readers) == 2:
            run.measure("ragged.transformers", ratios(contenders[0], contenders[1]))
    short = [1 + size.tokens * (1 + row % 8) // 512 for row in range(32)]
    contenders = [*_pair(LONGFORMER, ours, short), *_pair(NYSTROM, nystrom, short)]
    title = f"{LAYERS} layers, {len(short)} short documents of {min(short)} to {max(short)} tokens"
    run.compare(title, contenders, 7, contenders[0])
    run.notes.append(
        "Each document has one global token (Longformer). A batch is checked against its documents alone, at valid "
        "tokens. `transformers`' Nyströmformer is missing here: it is right for one unpadded length only."
    )


def _pair(name: str, reader: Reader, lengths: list[int]) -> tuple[Contender, Contender]:
    """The reader on the padded batch and on the documents one by one."""
    documents = [document(n) for n in lengths]
    longest = max(lengths)
    ids = torch.cat([torch.nn.functional.pad(x, (0, longest - x.shape[1]), value=1) for x in documents])
    mask = torch.cat([(torch.arange(longest) < n).long()[None] for n in lengths])

    def batch() -> Tensor:
        arguments = {"attention_mask": mask}
        if reader.global_token:
            arguments["global_attention_mask"] = torch.zeros_like(ids)
            arguments["global_attention_mask"][:, 0] = 1
        with torch.inference_mode():
            return reader.model(ids, **arguments).last_hidden_state

    def alone() -> Tensor:
        return torch.cat([reader(x)[0] for x in documents])

    def valid() -> Tensor:
        return batch()[mask.bool()]

    return (
        Contender(f"{name}, one padded batch", batch, alone, "the documents alone", outcome=valid),
        Contender(f"{name}, one after the other", alone, valid, "the padded batch"),
    )
