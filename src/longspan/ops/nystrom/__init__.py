"""Nyström attention: ``api`` checks and chooses, ``reference`` is the oracle, ``sdpa`` the fused path."""

from longspan.ops.nystrom.api import nystrom_attention
from longspan.ops.nystrom.factors import NystromFactors

__all__ = ["NystromFactors", "nystrom_attention"]
