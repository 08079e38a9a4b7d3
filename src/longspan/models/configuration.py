"""What the configurations of both families share, on ``transformers.PreTrainedConfig``."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import PreTrainedConfig


class LongspanConfig(PreTrainedConfig):
    """Base configuration.

    ``own_fields`` names the fields that longspan adds to a family's existing configuration, with their defaults; they
    reach config.json only when they differ from them, so that a checkpoint stays what its other readers know.
    """

    own_fields: ClassVar[dict[str, Any]] = {}

    def to_dict(self) -> dict[str, Any]:
        """All fields, without those of longspan's own that have their default."""
        fields: dict[str, Any] = super().to_dict()
        return {
            name: value
            for name, value in fields.items()
            if name not in self.own_fields or value != self.own_fields[name]
        }

    @property
    def output_attentions(self) -> bool | None:
        """Whether forward returns attention maps by default; every backend can."""
        return self._output_attentions

    @output_attentions.setter
    def output_attentions(self, value: bool | None) -> None:
        self._output_attentions = value

    def validate_output_attentions(self) -> None:
        """Fused backends recompute the maps, so nothing is refused."""


def check_sizes(config: Any) -> None:
    """Refuse sizes that no model can be built from.

    Raises:
        ValueError: naming the field, its value and what is possible.
    """
    for name in (
        "vocab_size",
        "type_vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
    ):
        value = getattr(config, name)
        if value < (0 if name == "num_hidden_layers" else 1):
            raise ValueError(f"{name} must be positive, got {value}")
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size must be a multiple of num_attention_heads, got {config.hidden_size} and "
            f"{config.num_attention_heads}"
        )
    period = getattr(config, "position_period", None)
    if period is not None and period < 1:
        raise ValueError(f"position_period must be None or at least 1, got {period}")
