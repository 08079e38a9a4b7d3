"""``pad`` and the collators built on it pad ``global_attention_mask`` with 0, on the side of the ids."""

import numpy as np
import pytest
import torch
from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding

from longspan.models.longformer.tokenization import LongformerTokenizer
from tests.models.tokenizer_texts import SMALL_BPE

TEXTS = ["Who signed it?", "The agreement was signed by both parties on the first day of March.", "No."]


def rows(tokenizer, kind=list):
    encoded = [dict(tokenizer(text)) for text in TEXTS]
    for row in encoded:
        row["global_attention_mask"] = [1] + [0] * (len(row["input_ids"]) - 2) + [1]
    return [{key: kind(value) for key, value in row.items()} for row in encoded]


@pytest.fixture(scope="module", params=["right", "left"])
def tokenizer(request):
    return LongformerTokenizer.from_pretrained(SMALL_BPE, padding_side=request.param)


def check(batch, tokenizer, side=None):
    ids, mask = torch.as_tensor(batch["input_ids"]), torch.as_tensor(batch["global_attention_mask"])
    assert mask.shape == ids.shape
    assert (mask[ids == tokenizer.pad_token_id] == 0).all()
    for row, original in zip(range(len(TEXTS)), rows(tokenizer), strict=True):
        valid = torch.as_tensor(batch["attention_mask"])[row] == 1
        assert mask[row][valid].tolist() == original["global_attention_mask"]
    left = (side or tokenizer.padding_side) == "left"
    assert (ids[2, 0] == tokenizer.pad_token_id) == left


@pytest.mark.parametrize(
    "options", [{}, {"padding": "max_length", "max_length": 40}, {"pad_to_multiple_of": 16}, {"return_tensors": "pt"}]
)
def test_pad_pads_the_global_mask(tokenizer, options):
    batch = tokenizer.pad(rows(tokenizer), **options)
    check(batch, tokenizer)
    if "max_length" in options:
        assert torch.as_tensor(batch["input_ids"]).shape[1] == 40


@pytest.mark.parametrize("kind", [list, torch.tensor, np.array])
@pytest.mark.parametrize("side", ["left", "right"])
def test_side_and_type_of_the_call(tokenizer, kind, side):
    batch = tokenizer.pad(rows(tokenizer, kind), padding_side=side)
    check(batch, tokenizer, side)
    columns = {key: [row[key] for row in rows(tokenizer)] for key in rows(tokenizer)[0]}
    assert dict(tokenizer.pad(columns, padding_side=side, return_tensors="np")).keys() == columns.keys()


def test_one_example(tokenizer):
    mask = rows(tokenizer)[0]["global_attention_mask"]
    padded = tokenizer.pad(rows(tokenizer)[0], padding="max_length", max_length=20)
    zeros = [0] * (20 - len(mask))
    assert padded["global_attention_mask"] == (zeros + mask if tokenizer.padding_side == "left" else mask + zeros)


def test_collators(tokenizer):
    check(DataCollatorWithPadding(tokenizer)(rows(tokenizer)), tokenizer)
    labelled = [{**row, "labels": [0] * len(row["input_ids"])} for row in rows(tokenizer)]
    batch = DataCollatorForTokenClassification(tokenizer)(labelled)
    check(batch, tokenizer)
    assert batch["labels"].shape == batch["global_attention_mask"].shape


def test_without_global_mask_nothing_is_added(tokenizer):
    batch = tokenizer.pad([dict(tokenizer(text)) for text in TEXTS])
    assert set(batch) == {"input_ids", "attention_mask"}


def test_global_mask_of_some_rows_or_of_another_length_is_refused(tokenizer):
    some = rows(tokenizer)
    del some[0]["global_attention_mask"]
    with pytest.raises(ValueError, match="global_attention_mask is given for 2 of 3 examples"):
        tokenizer.pad(some)
    short = rows(tokenizer)
    short[1]["global_attention_mask"].pop()
    with pytest.raises(ValueError, match="global_attention_mask has"):
        tokenizer.pad(short)
