"""The models that are compared, with random weights: longspan's two and their peers in transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor

import longspan

from .fresh import Work
from .rows import Watched
from .sizes import Sizes, nystrom_flops, sizes, window_pairs

LONGFORMER = "longspan Longformer"
LONGFORMER_BF16 = "longspan Longformer, bfloat16"
LONGFORMER_CPP = "longspan Longformer, cpp"
LONGFORMER_CPP_BF16 = "longspan Longformer, cpp, bfloat16"
NYSTROM = "longspan Nyströmformer"
THEIR_LONGFORMER = "transformers Longformer"
THEIR_NYSTROM = "transformers Nyströmformer"
ROBERTA = "RoBERTa, SDPA"
MODERNBERT = "ModernBERT, SDPA"
BIGBIRD = "BigBird, block sparse"

VOCABULARY = 1024


@dataclass
class Reader:
    """A model in eval mode.

    Attributes:
        model: the model.
        global_token: whether its first token is global.
        flops: floating-point operations that its function needs for a document of so many tokens.
    """

    model: Any
    global_token: bool
    flops: Callable[[int], float]

    def __call__(self, ids: Tensor) -> Tensor:
        """Last hidden state of ``ids``, without gradients."""
        with torch.inference_mode():
            return self.forward(ids)

    def forward(self, ids: Tensor) -> Tensor:
        """Last hidden state of ``ids``."""
        arguments = {}
        if self.global_token:
            arguments["global_attention_mask"] = torch.zeros_like(ids)
            arguments["global_attention_mask"][:, 0] = 1
        return self.model(ids, **arguments).last_hidden_state

    def eager(self, ids: Tensor) -> Tensor:
        """The same from the plain implementation of the model's own attention, its oracle."""
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            return self(ids)
        finally:
            self.model.set_attn_implementation(before)


def document(tokens: int, batch: int = 1) -> Tensor:
    """Random token ids (batch, tokens), none of them special."""
    return torch.randint(4, VOCABULARY, (batch, tokens), generator=torch.Generator().manual_seed(0))


def build(name: str, size: Sizes, tokens: int, layers: int | None = None, **fields: Any) -> Reader:
    """A model for documents of ``tokens`` tokens.

    Args:
        name: one of the names above.
        size: its sizes.
        tokens: the longest document; transformers' Nyströmformer is right at exactly this length only.
        layers: how many instead of a whole model's. ModernBERT, which has 22 where the others have 12, gets 3 for 2,
            so that one of three attends globally, as in the whole model.
        fields: further fields of the configuration.
    """
    torch.manual_seed(0)
    layers = layers or size.layers
    common: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": size.hidden,
        "num_attention_heads": size.heads,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": layers,
        "max_position_embeddings": tokens + 2,
        "pad_token_id": 1,
        **fields,
    }
    model, attention = _BUILDERS[name](common, size, tokens)
    per_token = 2 * _linear_weights(model)
    return Reader(model.eval(), "Longformer" in name, lambda n: per_token * n + attention(n))


def _linear_weights(model: Any) -> int:
    """Elements of the weights that every token passes through; global projections fold into one token's row."""
    return sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not name.endswith("_global") and "pooler" not in name
    )


def _their_longformer(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    config = transformers.LongformerConfig(**common, attention_window=size.window)
    layers, width = common["num_hidden_layers"], size.hidden
    return transformers.LongformerModel(config), lambda n: 4.0 * layers * width * window_pairs(n, size.window)


def _longformer(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    # Positions repeat in long documents, so that the table stays short.
    positions = {"max_position_embeddings": min(tokens, 4096) + 2, "position_period": 4096 if tokens > 4096 else None}
    config = longspan.LongformerConfig(**{**common, **positions}, attention_window=size.window)
    layers, width = common["num_hidden_layers"], size.hidden
    return longspan.LongformerModel(config), lambda n: 4.0 * layers * width * window_pairs(n, size.window)


def _longformer_bf16(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    model, attention = _longformer(common, size, tokens)
    return model.to(torch.bfloat16), attention


def _longformer_cpp(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    model, attention = _longformer(common, size, tokens)
    model.set_attn_implementation("cpp")
    return model, attention


def _longformer_cpp_bf16(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    model, attention = _longformer_cpp(common, size, tokens)
    return model.to(torch.bfloat16), attention


def _their_nystrom(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    config = transformers.NystromformerConfig(
        **common, num_landmarks=size.landmarks, conv_kernel_size=size.convolution, segment_means_seq_len=tokens
    )
    return transformers.NystromformerModel(config), lambda n: common["num_hidden_layers"] * nystrom_flops(size, n)


def _nystrom(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    positions = {"max_position_embeddings": min(tokens, 4096) + 2, "position_period": 4096 if tokens > 4096 else None}
    config = longspan.NystromformerConfig(
        **{**common, **positions},
        num_landmarks=size.landmarks,
        conv_kernel_size=size.convolution,
        attention_type="nystrom",
    )
    return longspan.NystromformerModel(config), lambda n: common["num_hidden_layers"] * nystrom_flops(size, n)


def _roberta(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    config = transformers.RobertaConfig(**common, type_vocab_size=2, attn_implementation="sdpa")
    layers, width = common["num_hidden_layers"], size.hidden
    return transformers.RobertaModel(config), lambda n: 4.0 * layers * width * n * n


def _modernbert(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    layers = {12: 22, 2: 3}.get(common["num_hidden_layers"], common["num_hidden_layers"])
    config = transformers.ModernBertConfig(
        **{**common, "num_hidden_layers": layers, "intermediate_size": size.intermediate * 3 // 8},
        local_attention=size.local,
        global_attn_every_n_layers=3,
        bos_token_id=0,
        eos_token_id=2,
        cls_token_id=0,
        sep_token_id=2,
        attn_implementation="sdpa",
    )
    dense = -(-layers // 3)
    return transformers.ModernBertModel(
        config
    ), lambda n: 4.0 * size.hidden * (dense * n * n + (layers - dense) * window_pairs(n, size.local))


def _bigbird(common: dict[str, Any], size: Sizes, tokens: int) -> tuple[Any, Callable[[int], float]]:
    config = transformers.BigBirdConfig(**common, attention_type="block_sparse", block_size=size.block)
    layers, width = common["num_hidden_layers"], size.hidden
    blocks = 3 + 2 + config.num_random_blocks  # window, first and last, random
    return transformers.BigBirdModel(config), lambda n: 4.0 * layers * width * n * blocks * size.block


_BUILDERS: dict[str, Callable[[dict[str, Any], Sizes, int], tuple[Any, Callable[[int], float]]]] = {
    LONGFORMER: _longformer,
    LONGFORMER_BF16: _longformer_bf16,
    LONGFORMER_CPP: _longformer_cpp,
    LONGFORMER_CPP_BF16: _longformer_cpp_bf16,
    NYSTROM: _nystrom,
    THEIR_LONGFORMER: _their_longformer,
    THEIR_NYSTROM: _their_nystrom,
    ROBERTA: _roberta,
    MODERNBERT: _modernbert,
    BIGBIRD: _bigbird,
}


def share_weights(source: Reader, target: Reader) -> None:
    """Give ``target`` the weights of ``source``; ``source`` may have more of them (global projections)."""
    missing = target.model.load_state_dict(source.model.state_dict(), strict=False).missing_keys
    if missing:
        raise RuntimeError(f"weights that the models do not share: {missing}")


def reading(name: str, tokens: int, warm_tokens: int, layers: int, quick: bool) -> Work:
    """A case for :func:`benchmarks.fresh.fresh`: read a document in one pass, checked at sampled rows."""
    size = sizes(quick)
    reader = build(name, size, tokens, layers)
    # transformers' Nyströmformer reads one length only: another one of the same code warms the libraries
    other = build(name, size, warm_tokens, 2) if name == THEIR_NYSTROM else None
    long = Watched(reader.model, reader.global_token, reader)
    short = long if other is None else Watched(other.model, other.global_token, other)
    ids, short_ids = document(tokens), document(warm_tokens)

    def check(output: Tensor) -> float:
        return (long if output.shape[1] == tokens else short).check(output)

    return Work(lambda: short(short_ids), lambda: long(ids), check)
