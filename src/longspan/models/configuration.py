"""What the configurations of both families share, on ``transformers.PreTrainedConfig``."""

from __future__ import annotations

import os
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

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The content of a checkpoint's config.json, and the keywords that are left.

        Raises:
            ValueError: it is of another architecture.
            OSError: there is no such directory, or no config.json in it, or an empty one.
        """
        name = str(pretrained_model_name_or_path)
        check_place(name)
        fields, rest = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if not fields:
            raise FileNotFoundError(f"{name!r} has no config.json, or an empty one")
        given = fields.get("model_type", cls.model_type)
        if given != cls.model_type:
            raise ValueError(
                f"{name!r} is a checkpoint of model type {given!r}; {cls.__name__} reads {cls.model_type!r} only. "
                f"transformers.AutoModel finds the class for {given!r}"
            )
        return fields, rest

    @property
    def output_attentions(self) -> bool | None:
        """Whether forward returns attention maps by default; every backend can."""
        return self._output_attentions

    @output_attentions.setter
    def output_attentions(self, value: bool | None) -> None:
        self._output_attentions = value

    def validate_output_attentions(self) -> None:
        """Fused backends recompute the maps, so nothing is refused."""


def check_place(name: str) -> None:
    """Refuse the path of a directory that is not there, before it is taken for a hub id.

    Raises:
        FileNotFoundError: naming it.
    """
    if not os.path.exists(name) and (os.path.isabs(name) or name.startswith(".") or name.count("/") > 1):
        raise FileNotFoundError(f"{name!r} is no directory, and no hub id either")


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
