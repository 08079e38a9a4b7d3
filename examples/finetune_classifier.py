"""Fine-tune a Longformer on long news articles with `transformers.Trainer`.

    python examples/finetune_classifier.py --steps 200
    python examples/finetune_classifier.py --model allenai/longformer-base-4096 --steps 500

The data is SemEval-2019 task 4 (hyperpartisan news, by article; CC BY 4.0), read from the folder `hyperpartisan` in the
one that LONGSPAN_DATA names (default: ../shared/data beside the repository). Without --model it starts from a small
random model with the tokenizer of the contract model: that shows the steps, not a score.
"""

import argparse
import lzma
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

import longspan
from longspan import LongformerConfig, LongformerForSequenceClassification, LongformerTokenizer

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LONGSPAN_DATA", ROOT.parent / "shared" / "data")) / "hyperpartisan"
SHIPPED = Path(longspan.__file__).parent / "pretrained" / "contracts"


def read_articles() -> list[tuple[str, int]]:
    """Return (text, 1 if hyperpartisan) of every article."""
    if not DATA.is_dir():
        raise SystemExit(f"no data in {DATA}: set LONGSPAN_DATA to the folder that holds hyperpartisan/")
    with lzma.open(DATA / "ground-truth-training-byarticle-20181122.xml.xz", "rb") as file:
        truth = {a.get("id"): int(a.get("hyperpartisan") == "true") for a in ElementTree.parse(file).getroot()}
    with lzma.open(DATA / "articles-training-byarticle-20181122.xml.xz", "rb") as file:
        articles = ElementTree.parse(file).getroot()
        return [(re.sub(r"\s+", " ", "".join(a.itertext())).strip(), truth[a.get("id")]) for a in articles]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="folder or hub id; a small random model without it")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--length", type=int, default=1024, help="tokens kept of each article")
    parser.add_argument("--out", default="runs/classifier")
    options = parser.parse_args()

    torch.manual_seed(0)
    tokenizer = LongformerTokenizer.from_pretrained(options.model or SHIPPED)
    if options.model:
        model = LongformerForSequenceClassification.from_pretrained(options.model, num_labels=2)
    else:
        model = LongformerForSequenceClassification(
            LongformerConfig(
                vocab_size=len(tokenizer),
                hidden_size=96,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=192,
                attention_window=128,
                max_position_embeddings=options.length + 2,
                pad_token_id=tokenizer.pad_token_id,
                sep_token_id=tokenizer.sep_token_id,
                num_labels=2,
            )
        )
    rows = [
        {**tokenizer(text, truncation=True, max_length=options.length), "labels": label}
        for text, label in read_articles()
    ]
    held_out = len(rows) // 5
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=options.out,
            max_steps=options.steps,
            per_device_train_batch_size=4,
            learning_rate=3e-5 if options.model else 1e-3,
            warmup_steps=options.steps // 10,
            logging_steps=max(1, options.steps // 10),
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=rows[held_out:],
        eval_dataset=rows[:held_out],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    )
    trainer.train()
    print(trainer.evaluate())


if __name__ == "__main__":
    main()
