"""A task and a model that need no training, and tiny random checkpoints of both families."""

import re
from types import SimpleNamespace

import torch

from longspan.predict.loading import Checkpoint
from longspan.predict.tokens import collate_ids
from longspan.tasks.examples import BadRow, Source, TextExample
from longspan.tasks.task import Encoding, Task

PAD = 0


class FakeTokenizer:
    """Ids are the numbers of the text."""

    pad_token_id = PAD
    padding_side = "right"


class Sum(Task[TextExample]):
    """The sum of the numbers in a line, read in windows; the label is the right sum."""

    name = "sum"
    head = "ForTokenClassification"
    metric = "exact"

    def __init__(self, factor=1):
        self.factor = factor
        self.encoded = 0

    def options(self):
        return {"factor": self.factor}

    def read(self, path, layout=None):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                source = Source(path, number)
                text, _, label = line.strip().partition("=")
                if re.fullmatch(r"[\d ]+", text):
                    yield TextExample(str(number), source, text, label=label or None)
                else:
                    yield BadRow(source, f"{text!r} holds no numbers")

    def encode(self, example, encoding, training):
        self.encoded += 1
        ids = [int(x) for x in example.text.split()]
        if example.label == "many":
            return BadRow(example.source, "unknown label 'many'")
        if 13 in ids:
            return BadRow(example.source, "13 has no place in the model")
        size = encoding.max_length
        return [{"input_ids": ids[i : i + size]} for i in range(0, len(ids), size)]

    def collate(self, features, encoding):
        return collate_ids([window["input_ids"] for window in features], encoding)

    def decode(self, example, features, outputs):
        for window, raw in zip(features, outputs, strict=True):
            assert raw["logits"][:, 0].tolist() == window["input_ids"]
        total = sum(float(raw["logits"][:, 0].sum()) for raw in outputs) * self.factor
        return {"id": example.id, "sum": total, "windows": len(outputs)}

    def record(self, example, prediction):
        return float(example.label) == prediction["sum"]

    def score_records(self, records):
        return {"exact": sum(records) / len(records), "rows": float(len(records))}


class Echo(torch.nn.Module):
    """Says of each token its id and the square of it, and remembers the shapes that it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.shapes = []

    def forward(self, input_ids, attention_mask):
        assert not self.training and torch.is_inference_mode_enabled()
        assert torch.equal(input_ids != PAD, attention_mask != 0)
        self.shapes.append(tuple(input_ids.shape))
        ids = input_ids.to(self.weight.dtype) * self.weight
        return SimpleNamespace(logits=torch.stack([ids, ids**2], -1))


def fake_checkpoint(name="fake", **options):
    """Windows of four numbers."""
    return Checkpoint(name, Echo().eval(), Sum(**options), Encoding(FakeTokenizer(), 4, 0))


WORDS = "the licensor may assign this agreement to a buyer in Ohio , and nobody else . 0 1 2 3"


def save_checkpoint(folder, family="longformer", head="ForMaskedLM", positions=62, **config):
    """Write a random model with its tokenizer; it reads ``positions`` tokens at once."""
    from longspan.predict.loading import FAMILIES, model_class
    from longspan.train.vocabulary import train_tokenizer

    source = folder / "source.json"
    train_tokenizer([WORDS, WORDS.upper()], size=320).save(str(source))
    if family == "longformer":
        from longspan import LongformerTokenizer as tokenizer_class

        own = {"attention_window": 8, "max_position_embeddings": positions + 2}
    else:
        from longspan.models.nystromformer import NystromformerTokenizer as tokenizer_class

        own = {"num_landmarks": 4, "max_position_embeddings": positions, "conv_kernel_size": 3}
        own |= {"segment_means_seq_len": 64}
    tokens = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "sep": "</s>", "eos": "</s>", "unk": "<unk>"}
    names = {f"{key}_token": token for key, token in tokens.items()}
    tokenizer = tokenizer_class(tokenizer_file=str(source), mask_token="<mask>", **names)
    tokenizer.save_pretrained(folder)
    source.unlink()
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = model_class(family, head)
    assert model.__name__.startswith(FAMILIES[family])
    fields = {"vocab_size": 320, "type_vocab_size": 1, "initializer_range": 0.5, **shape, **own, **config}
    built = model(model.config_class(**fields))
    built.save_pretrained(folder)
    return folder
