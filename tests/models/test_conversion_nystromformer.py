"""A converted Nyströmformer is its source on documents of at most as many tokens as it has landmarks."""

import json

import pytest
import torch
import transformers

import longspan
from tests.models.conversion_cases import (
    POSITIONS,
    TYPES,
    assert_equal_outputs,
    convert,
    load,
    make_batch,
    make_source,
)

# Nyströmformer's classifier and masked-LM head follow hidden_act, so RoBERTa's classifier (tanh) has no place
CASES = [
    *((model_type, head) for model_type in TYPES for head in ("Model", "ForMaskedLM", "ForTokenClassification")),
    ("roberta", "ForQuestionAnswering"),
    ("electra", "ForSequenceClassification"),
]


@pytest.mark.parametrize(("model_type", "head"), CASES)
def test_equals_its_source(tmp_path, model_type, head):
    source = make_source(tmp_path / "source", model_type, head)
    report, out = convert(tmp_path / "source", "nystromformer", num_landmarks=POSITIONS)
    assert report.model_class == f"Nystromformer{head}"
    assert set(report.dropped) <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert report.difference < 1e-5 and report.compared_tokens == POSITIONS
    model = load(out, f"Nystromformer{head}")
    assert_equal_outputs(source, model, make_batch(source, [POSITIONS, 13, 1], head))
    with torch.no_grad():
        assert next(iter(model(**make_batch(source, [100], head)).values())).isfinite().all()


@pytest.mark.parametrize(
    ("model_type", "head", "dropped"),
    [
        ("roberta", "ForSequenceClassification", "classifier.out_proj.weight"),
        ("bert", "ForSequenceClassification", "classifier.weight"),
        ("roberta", "ForMultipleChoice", "classifier.weight"),
        ("bert", "Model", "pooler.dense.weight"),
    ],
)
def test_what_has_no_place_is_named(tmp_path, model_type, head, dropped):
    source = make_source(tmp_path / "source", model_type, head)
    report, out = convert(tmp_path / "source", "nystromformer", num_landmarks=POSITIONS)
    assert report.model_class == "NystromformerModel" and dropped in report.dropped
    inputs = make_batch(source, [POSITIONS, 5])
    assert_equal_outputs(source.base_model, load(out, "NystromformerModel"), inputs)


def test_starts_without_convolution_and_as_nystrom_everywhere(tmp_path):
    make_source(tmp_path / "source", "roberta")
    _, out = convert(tmp_path / "source", "nystromformer", num_landmarks=8)
    fields = json.loads((out / "config.json").read_text())
    assert fields["attention_type"] == "nystrom"
    assert (fields["num_landmarks"], fields["segment_means_seq_len"]) == (8, 96)
    assert fields["max_position_embeddings"] == 100
    for layer in load(out, "NystromformerModel").encoder.layer:
        assert layer.attention.self.conv.weight.shape == (4, 1, 65, 1)
        assert not layer.attention.self.conv.weight.any()
    peer = load(out, "NystromformerModel", transformers)
    attention = peer.encoder.layer[0].attention.self
    assert attention.num_landmarks != attention.seq_len


def test_transformers_reads_the_result(tmp_path):
    source = make_source(tmp_path / "source", "bert", "ForTokenClassification")
    _, out = convert(tmp_path / "source", "nystromformer", num_landmarks=8)
    inputs = make_batch(source, [96])
    models = (load(out, "NystromformerForTokenClassification", library) for library in (longspan, transformers))
    with torch.no_grad():
        ours, theirs = (model(**inputs).logits for model in models)
    assert (ours - theirs).abs().max() < 1e-4


def test_few_positions_still_give_another_multiple_of_the_landmarks(tmp_path):
    make_source(tmp_path / "source", "bert")
    _, out = convert(tmp_path / "source", "nystromformer", max_length=70)
    config = longspan.NystromformerConfig.from_pretrained(out)
    assert (config.num_landmarks, config.segment_means_seq_len, config.uses_softmax) == (64, 128, False)


@pytest.mark.parametrize("model_type", ["roberta", "bert"])
def test_position_rows_repeat(tmp_path, model_type):
    source = make_source(tmp_path / "source", model_type)
    _, out = convert(tmp_path / "source", "nystromformer")
    given = source.embeddings.position_embeddings.weight
    made = load(out, "NystromformerModel").embeddings.position_embeddings.weight
    first = 0 if model_type == "bert" else 2
    assert len(made) == 102
    for k in (0, 1, POSITIONS, 99):
        assert torch.equal(made[2 + k], given[first + k % POSITIONS])
