"""A folder that sentence-transformers loads: the encoder, its tokenizer, and what it calls modules, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longspan.predict.embedding import Embedder

ANY_LENGTH = 2**20
"""Tokens that are read of a text where the model reads any number: sentence-transformers wants one."""


def save_sentence_folder(embedder: Embedder, folder: str | Path) -> None:
    """Write an embedder so that ``SentenceTransformer(folder)`` gives the same vectors.

    sentence-transformers cuts texts at the model's length; of longer ones it makes other vectors than the embedder,
    which reads them in windows. With :func:`longspan.register` called before, it loads longspan's classes, without
    it those of ``transformers``.

    Args:
        embedder: what to save.
        folder: made where it is missing.

    Raises:
        ValueError: ``folder`` is a file, or holds something already.
        OSError: it cannot be written.
    """
    from longspan.models.quiet import quiet_transformers

    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{folder} is there already; name a new or an empty folder")
    length = embedder.encoding.max_length or ANY_LENGTH
    size = embedder.model.config.hidden_size
    modes = {"cls_token": "cls", "mean_tokens": "mean"}
    pooling = {f"pooling_mode_{mode}": embedder.pooling == name for mode, name in modes.items()}
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling")]
    files: dict[str, Any] = {
        "sentence_bert_config.json": {"max_seq_length": length, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": size, **pooling},
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine", "prompts": {}},
    }
    if embedder.normalize:
        modules.append(("2", "2_Normalize", "Normalize"))
        files["2_Normalize/config.json"] = {}
    files["modules.json"] = [
        {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for name, path, kind in modules
    ]
    target.mkdir(parents=True, exist_ok=True)
    with quiet_transformers():
        embedder.model.save_pretrained(target)
    embedder.encoding.tokenizer.save_pretrained(target)
    for name, content in files.items():
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
