"""Nyström attention: ``api`` checks and chooses, ``reference`` is the oracle, ``sdpa`` the fused path."""

from longspan.ops.nystrom.api import nystrom_attention
from longspan.ops.nystrom.factors import NystromFactors, attention_map

__all__ = ["NystromFactors", "attention_map", "nystrom_attention"]
