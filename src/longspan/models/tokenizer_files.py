"""What the JSON files beside a tokenizer say: the model's length and the class that wrote the tokenizer."""

import json
import logging
from functools import cache
from typing import Any

from transformers.utils import cached_file

logger = logging.getLogger("longspan.tokenizers")

# The keywords of from_pretrained that say where a file of a hub repository is found.
_HUB_KEYWORDS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


def read_json_file(name_or_path: str, filename: str, keywords: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object in ``filename`` of a directory or hub repository, or ``{}`` where there is none.

    Args:
        name_or_path: a directory or a hub id.
        filename: such as ``config.json``.
        keywords: the keywords given to ``from_pretrained``; those that say where a file is found are used.

    Raises:
        ValueError: the file is there and is not a JSON object.
    """
    where = {key: keywords[key] for key in _HUB_KEYWORDS if keywords.get(key) is not None}
    path = cached_file(
        name_or_path,
        filename,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        **where,
    )
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both ValueErrors
        raise ValueError(f"{filename} of {name_or_path!r} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{filename} of {name_or_path!r} must hold a JSON object, not a {type(content).__name__}")
    return content


def longest_input(config: dict[str, Any], default_positions: int, reserved: int) -> int | None:
    """Return the longest input, in tokens, of the model that ``config`` describes; None when there is no limit.

    Args:
        config: the content of a config.json.
        default_positions: ``max_position_embeddings`` of a config.json that does not name it.
        reserved: rows of the position table that no token uses.
    """
    if config.get("position_period") is not None:
        return None
    return int(config.get("max_position_embeddings") or default_positions) - reserved


@cache
def note_other_length(name_or_path: str, saved: int, limit: int) -> None:
    """Log, once for each checkpoint, that tokenizer_config.json and config.json disagree about the length."""
    logger.warning(
        "%s: tokenizer_config.json says model_max_length=%d, but the model of config.json reads %d tokens: using %d. "
        "Pass model_max_length to from_pretrained for another length.",
        name_or_path,
        saved,
        limit,
        limit,
    )
