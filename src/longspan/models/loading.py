"""What the models of both families share: loading that is whole or refused, and the choice of a backend."""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from .configuration import check_place

# The keywords of from_pretrained that say where a file of a hub repository is found.
_HUB_KEYWORDS = ("cache_dir", "revision", "subfolder", "token")
_BACKBONE = ("embeddings.", "encoder.")


class LongspanPreTrainedModel(PreTrainedModel):
    """Base of all models, on the machinery of ``transformers.PreTrainedModel``.

    Subclasses name ``attn_backends``, the values of ``attn_implementation`` that they run.
    """

    attn_backends: ClassVar[tuple[str, ...]] = ("eager", "sdpa")
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        _check_config(type(self), config)
        config.check()
        super().__init__(config, *args, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        config: PreTrainedConfig | str | os.PathLike[str] | None = None,
        ignore_mismatched_sizes: bool = False,
        weights_only: bool = True,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load a model from a directory or a hub id; all keywords of ``transformers`` work.

        Weights of a task head that the checkpoint does not have are new, as everywhere. Those of the encoder have
        to be there: no model is returned whose encoder is only partly the checkpoint's.

        Raises:
            ValueError: the checkpoint is of another architecture, lacks weights, has weights of other shapes than the
                configuration says (unless ``ignore_mismatched_sizes``), holds pickled objects other than tensors
                (``weights_only=False`` is not possible), or a file of it is truncated or corrupt.
            OSError: a file is missing; the message names it.
        """
        if not weights_only:
            raise ValueError("weights_only=False is not possible: a pickle may run any code; only tensors are read")
        if isinstance(config, PreTrainedConfig):
            _check_config(cls, config)
        if pretrained_model_name_or_path is not None:
            check_place(str(pretrained_model_name_or_path))
        try:
            # Shapes that differ are refused below, by name: transformers only logs which ones they are.
            model, found = super().from_pretrained(
                pretrained_model_name_or_path,
                *model_args,
                config=config,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **kwargs,
            )
        except (SafetensorError, pickle.UnpicklingError, ValueError, EOFError, OSError, RuntimeError):
            fault = _broken_file(pretrained_model_name_or_path, kwargs)
            if fault is None:
                raise
            # not "from error": what torch says of a pickle recommends weights_only=False
            raise ValueError(f"{fault}; nothing was loaded") from None
        source = repr(str(pretrained_model_name_or_path or "state_dict"))
        if not ignore_mismatched_sizes:
            _check_shapes(source, found)
        _check_whole(source, model, found)
        return (model, found) if output_loading_info else model

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """The backend of that name; "sdpa" for None.

        Raises:
            ValueError: no backend has this name.
        """
        if requested_attention is None:
            return "sdpa"
        if requested_attention not in self.attn_backends:
            names = ", ".join(map(repr, self.attn_backends))
            raise ValueError(
                f"attn_implementation of {type(self).__name__} must be one of {names}, got {requested_attention!r}"
            )
        return requested_attention

    def _check_and_adjust_attn_implementation(
        self, attn_implementation: str | None, is_init_check: bool = False, allow_all_kernels: bool = False
    ) -> str:
        # transformers would put another backend in the place of some names here
        return self.get_correct_attn_implementation(attn_implementation, is_init_check)

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        # transformers guesses it from the text of the module
        return True


def _check_config(cls: type[LongspanPreTrainedModel], config: Any) -> None:
    expected = cls.config_class
    if not isinstance(config, expected):
        given = f"{type(config).__module__.split('.')[0]}.{type(config).__name__}"
        hint = ""
        if getattr(config, "model_type", None) == expected.model_type:
            hint = f"; {expected.__name__}.from_dict(config.to_dict()) makes one of it"
        raise TypeError(f"config must be a longspan.{expected.__name__}, got {given}{hint}")


def _check_shapes(source: str, found: dict[str, Any]) -> None:
    wrong = sorted(found["mismatched_keys"])
    if wrong:
        listed = "; ".join(f"{key} is {tuple(has)}, should be {tuple(wants)}" for key, has, wants in wrong[:3])
        raise ValueError(
            f"{len(wrong)} weights in {source} do not have the shapes of its configuration: {listed}"
            f"{'; ...' if len(wrong) > 3 else ''}. Nothing was loaded; ignore_mismatched_sizes=True makes them new"
        )


def _check_whole(source: str, model: PreTrainedModel, found: dict[str, Any]) -> None:
    """Every weight of the embeddings and the encoder came from the checkpoint."""
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."
    starts = tuple(prefix + part for part in _BACKBONE)
    missing = sorted(key for key in found["missing_keys"] if key.startswith(starts))
    if not missing:
        return
    count = sum(key.startswith(starts) for key in model.state_dict())
    listed = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    if len(missing) == count:
        problem = f"{source} is not a checkpoint of a {model.config.model_type}: it holds none of its weights"
        unexpected = sorted(found["unexpected_keys"])
        if unexpected:
            problem += f", but {', '.join(unexpected[:3])}{', ...' if len(unexpected) > 3 else ''}"
    else:
        problem = f"{source} lacks {len(missing)} of the {count} weights of the embeddings and the encoder"
    raise ValueError(f"{problem}. Expected {listed}")


def _broken_file(name: str | os.PathLike[str] | None, keywords: dict[str, Any]) -> str | None:
    """What is wrong with the weight files of a local or cached checkpoint, or None when all can be read."""
    if name is None:
        return None
    where = {key: keywords[key] for key in _HUB_KEYWORDS if keywords.get(key) is not None}
    config = cached_file(
        str(name),
        "config.json",
        local_files_only=True,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        **where,
    )
    if config is None:
        return None
    for path in sorted(Path(config).parent.iterdir()):
        fault = _fault(path)
        if fault is not None:
            return f"{path} {fault}"
    return None


def _fault(path: Path) -> str | None:
    try:
        if path.name.endswith(".index.json"):
            json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        elif path.suffix == ".safetensors":
            os.fspath(path).encode()
            with safe_open(path, "pt"):
                pass
        elif path.match("pytorch_model*.bin"):
            torch.load(path, map_location="meta", weights_only=True)
    except UnicodeEncodeError:
        return "has a path that is not UTF-8, which safetensors cannot open; rename its folder"
    except pickle.UnpicklingError as error:
        # torch says "GLOBAL os.system", "Unsupported operand" and the like in the middle of much advice
        what = re.search(r"GLOBAL (\S+)", str(error))
        return f"is no pickle of tensors only{f' (it asks for {what[1]})' if what else ''}; it is not unpickled"
    except Exception as error:
        return f"is truncated or corrupt ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
    return None
