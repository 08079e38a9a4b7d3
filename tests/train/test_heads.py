"""A head's outputs go with their labels."""

import json

import pytest
import torch

from longspan.predict.loading import read_config
from longspan.tasks.classify import Classify
from longspan.train.building import Start, make_config, make_model
from longspan.train.heads import label_names
from tests.models.hub_models import make, make_tokenizer


@pytest.mark.parametrize("family", ["Longformer", "Nystromformer"])
@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        (["bad", "good", "mixed"], [0, 1, 2]),
        (["mixed", "bad", "good"], [2, 0, 1]),
        (["0", "1", "2"], None),
        (["bad", "good"], None),
    ],
)
def test_labels_keep_their_outputs_and_other_ones_get_new_ones(family, labels, rows, tmp_path):
    tokenizer = make_tokenizer()
    names = dict(enumerate(["bad", "good", "mixed"]))
    before = make(family, "ForSequenceClassification", vocab_size=len(tokenizer), id2label=names)
    with torch.no_grad():
        before.classifier.out_proj.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    before.save_pretrained(tmp_path)
    task = Classify(labels=labels)
    start = Start(model=str(tmp_path))
    after = make_model(start, task, make_config(start, tokenizer, task.settings()), len(tokenizer))
    assert list(after.config.id2label.values()) == labels
    old, new = before.classifier.out_proj, after.classifier.out_proj
    assert torch.equal(before.classifier.dense.weight, after.classifier.dense.weight)
    if rows is None:
        assert not (new.weight[:2] == old.weight[:2]).any() and new.weight.std() > 0 and not new.bias.any()
    else:
        assert torch.equal(new.weight, old.weight[rows]) and torch.equal(new.bias, old.bias[rows])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["0", "1"]),
        ({"num_labels": 3}, ["0", "1", "2"]),
        ({"id2label": {"10": "b", "9": "a"}}, ["a", "b"]),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, ["0", "1"]),
    ],
)
def test_names_of_labels(fields, expected, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "longformer", **fields}))
    assert label_names(read_config(str(tmp_path))) == expected
