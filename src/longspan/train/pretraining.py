"""The encoder of the contract model, taught to guess hidden tokens of the training contracts before it sees a label.

    python -m longspan.train.pretraining --data ../shared/data/cuad --out runs/contract-encoder --minutes 60

Run again with the same arguments, it resumes. `longspan.train.contracts` begins with the result: ``--encoder
runs/contract-encoder/model``. Validation contracts only measure it, test contracts are not read.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from longspan.tasks.cuad import Contract, read_contracts

if TYPE_CHECKING:
    from longspan.train.crops import CropSampler, Encoded
    from longspan.train.objectives import HiddenTokens

logger = logging.getLogger("longspan.train")

VOCABULARY = 8192
PERIOD = 256
MASKED = 0.2
SHAPE: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 768,
    "attention_window": [64, 128, 256, 128],
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LOOKS = ((-1, 0, 1), (-3, 0, 3), (-10, 0, 10), (-32, 0, 32))
"""Distances at which the heads of each layer begin to look; see `initialize`."""


def main(argv: list[str] | None = None) -> None:
    """Pretrain from the command line."""
    arguments = parse(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    import torch

    torch.set_num_threads(arguments.threads)
    results = pretrain(read_contracts(arguments.data), arguments)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m longspan.train.pretraining", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with CUAD's two files (default: $LONGSPAN_DATA/cuad)")
    parser.add_argument("--out", type=Path, default=Path("runs/contract-encoder"), help="folder of the run")
    parser.add_argument("--steps", type=int, default=6000, help="optimizer steps of 4,096 tokens")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop, rate decayed, after this long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=thread_count, default=1, help="threads of PyTorch")
    return parser.parse_args(argv)


def thread_count(text: str) -> int:
    """A number of threads from the command line; torch has at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def pretrain(contracts: Sequence[Contract], arguments: argparse.Namespace) -> dict[str, Any]:
    """Train (or finish training) and write a masked-language model to ``out/model``; returns what it reached."""
    import torch

    from longspan.models.longformer import LongformerForMaskedLM
    from longspan.train.export import build_config, save_tokenizer
    from longspan.train.initialize import FREQUENCIES, initialize_decoder, initialize_encoder
    from longspan.train.loop import Schedule, Trainer
    from longspan.train.objectives import HiddenTokens
    from longspan.train.vocabulary import embed_words

    texts = {part: [c.text for c in contracts if c.part == part] for part in ("train", "validation")}
    tokenizer = read_tokenizer(arguments.out / "tokenizer.json", texts["train"], VOCABULARY)
    documents = encode_texts(tokenizer, texts["train"])
    torch.manual_seed(arguments.seed)
    model = LongformerForMaskedLM(build_config(SHAPE, VOCABULARY, PERIOD))
    for name, p in model.named_parameters():
        # No token is global here: these weights are never read.
        p.requires_grad_("_global." not in name)
    objective = HiddenTokens(model, text_sampler(documents, seed=arguments.seed))
    schedule = Schedule(steps=arguments.steps, minutes=arguments.minutes, seed=arguments.seed)
    trainer = Trainer(objective, schedule, arguments.out)
    if not trainer.checkpoint.exists():
        ids = [d.ids for d in documents]
        width = SHAPE["hidden_size"] - 2 * len(FREQUENCIES)
        vectors = embed_words(ids, VOCABULARY, width, seed=arguments.seed)
        initialize_encoder(model.longformer, word_vectors=vectors, offsets=LOOKS, seed=arguments.seed)
        counts = np.bincount(np.concatenate(ids), minlength=VOCABULARY)
        initialize_decoder(model.lm_head.dense, model.lm_head.bias, counts)
        trainer.restart_average()
    trainer.run()
    trainer.use_average()
    model.save_pretrained(arguments.out / "model")
    save_tokenizer(arguments.out / "tokenizer.json", arguments.out / "model")
    held_out = text_sampler(encode_texts(tokenizer, texts["validation"]), seed=arguments.seed)
    results = {
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "cpu_minutes": round(trainer.cpu_seconds / 60, 1),
        "validation_loss": round(measure(HiddenTokens(model, held_out)), 4),
    }
    logger.info("validation: %.3f nats a hidden token", results["validation_loss"])
    return results


def read_tokenizer(file: Path, texts: Sequence[str], size: int) -> Any:
    """The tokenizer of `file`; where there is none, one of `size` entries is learnt from `texts` and written."""
    from tokenizers import Tokenizer

    from longspan.train.vocabulary import train_tokenizer

    if not file.exists():
        train_tokenizer(texts, size).save(str(file), pretty=False)
    return Tokenizer.from_file(str(file))


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[Encoded]:
    """Every text as token ids, without labels."""
    from longspan.train.crops import encode

    return [encode(tokenizer, text, [], []) for text in texts]


def text_sampler(documents: Sequence[Encoded], *, seed: int) -> CropSampler:
    """Crops from anywhere."""
    from longspan.train.crops import CropSampler

    labels = [d.labels for d in documents]
    return CropSampler(documents, labels, focus=0, vocabulary=VOCABULARY, around=0, masked=MASKED, seed=seed)


def measure(objective: HiddenTokens, batches: int = 100) -> float:
    """Mean loss of the same `batches` whenever it is called."""
    import torch

    objective.eval()
    losses = []
    with torch.inference_mode():
        for step in range(batches):
            torch.manual_seed(step)  # for the positions
            losses.append(objective(step).item())
    return sum(losses) / len(losses)


if __name__ == "__main__":
    main()
