"""A converted Longformer is its source on documents no longer than half the window, heads included."""

import logging

import pytest
import torch
import transformers

import longspan
from longspan.models.conversion.positions import repeat_positions
from tests.models.conversion_cases import (
    POSITIONS,
    TYPES,
    WINDOW,
    assert_equal_outputs,
    convert,
    load,
    make_batch,
    make_source,
)

# heads that compute the same in a Longformer; ELECTRA classifies with GELU, and reads choices in its own way
HEADS = ("ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification")
WITHOUT = {("electra", "ForSequenceClassification"), ("electra", "ForMultipleChoice")}
CASES = [
    (model_type, head)
    for model_type in TYPES
    for head in ("Model", *HEADS, "ForQuestionAnswering")
    if (model_type, head) not in WITHOUT
]


@pytest.mark.parametrize(("model_type", "head"), CASES)
def test_equals_its_source(tmp_path, model_type, head):
    source = make_source(tmp_path / "source", model_type, head)
    report, out = convert(tmp_path / "source")
    assert report.source_class == type(source).__name__
    assert report.model_class == f"Longformer{head}"
    assert report.dropped == ()
    assert report.difference < 1e-5 and report.compared_tokens == WINDOW // 2
    inputs = make_batch(source, [POSITIONS, 13, 1], head)
    expected = {"Model": "last_hidden_state", "ForQuestionAnswering": "start_logits"}.get(head, "logits")
    # transformers reads questions and choices with three separators only
    libraries = (longspan,) if head in ("ForQuestionAnswering", "ForMultipleChoice") else (longspan, transformers)
    for library in libraries:
        compared = assert_equal_outputs(source, load(out, f"Longformer{head}", library), inputs)
        assert expected in compared
        if head == "Model" and model_type != "electra":
            assert "pooler_output" in compared


@pytest.mark.parametrize("model_type", ["roberta", "bert"])
def test_reads_what_its_source_could_not(tmp_path, model_type):
    source = make_source(tmp_path / "source", model_type, "ForMaskedLM")
    _, out = convert(tmp_path / "source")
    model = load(out, "LongformerForMaskedLM")
    inputs = make_batch(source, [100])
    with torch.no_grad():
        assert model(**inputs).logits.isfinite().all()
        with pytest.raises(ValueError, match="positions for 100"):
            model(**make_batch(source, [101]))


@pytest.mark.parametrize("model_type", TYPES)
def test_position_rows_repeat_from_the_first_token_on(tmp_path, model_type):
    source = make_source(tmp_path / "source", model_type)
    _, out = convert(tmp_path / "source")
    given = source.embeddings.position_embeddings.weight
    made = load(out, "LongformerModel").embeddings.position_embeddings.weight
    first = 0 if model_type in ("bert", "electra") else 2
    offset = source.config.pad_token_id + 1
    assert len(given) == first + POSITIONS and len(made) == offset + 100
    for k in (0, 1, POSITIONS - 1, POSITIONS, 2 * POSITIONS + 3, 99):
        assert torch.equal(made[offset + k], given[first + k % POSITIONS])
    if first == offset:
        assert torch.equal(made[:first], given[:first])


def test_repeat_positions_by_hand():
    table = torch.arange(5.0)[:, None]
    assert repeat_positions(table, 2, 2, 7).flatten().tolist() == [0, 1, 2, 3, 4, 2, 3, 4, 2]
    assert repeat_positions(table, 0, 1, 6).flatten().tolist() == [0, 0, 1, 2, 3, 4, 0]


def test_global_projections_start_equal_to_the_local_ones(tmp_path):
    make_source(tmp_path / "source", "roberta")
    _, out = convert(tmp_path / "source")
    for layer in load(out, "LongformerModel").encoder.layer:
        attention = layer.attention.self
        for part in ("query", "key", "value"):
            local, second = getattr(attention, part), getattr(attention, f"{part}_global")
            assert torch.equal(local.weight, second.weight) and torch.equal(local.bias, second.bias)
            assert local.weight is not second.weight


def test_global_tokens_change_nothing_on_short_input(tmp_path):
    source = make_source(tmp_path / "source", "roberta")
    _, out = convert(tmp_path / "source")
    inputs = make_batch(source, [POSITIONS, 9])
    marks = (torch.arange(POSITIONS) % 5 == 0).long().expand(2, -1)
    with torch.no_grad():
        wanted = source(**inputs).last_hidden_state
        found = load(out, "LongformerModel")(**inputs, global_attention_mask=marks).last_hidden_state
    valid = inputs["attention_mask"].bool()
    assert (wanted - found)[valid].abs().max() < 1e-5


def test_configuration_is_that_of_the_source(tmp_path):
    source = make_source(
        tmp_path / "source",
        "bert",
        "ForSequenceClassification",
        hidden_act="relu",
        layer_norm_eps=1e-3,
        pad_token_id=5,
        bos_token_id=7,
        eos_token_id=8,
        type_vocab_size=4,
        hidden_dropout_prob=0.2,
        id2label={0: "no", 1: "yes", 2: "maybe"},
        label2id={"no": 0, "yes": 1, "maybe": 2},
        problem_type="single_label_classification",
    )
    _, out = convert(tmp_path / "source")
    config = longspan.LongformerConfig.from_pretrained(out)
    for name in ("hidden_act", "layer_norm_eps", "pad_token_id", "bos_token_id", "eos_token_id", "type_vocab_size"):
        assert getattr(config, name) == getattr(source.config, name), name
    assert config.hidden_dropout_prob == 0.2
    assert config.id2label == {0: "no", 1: "yes", 2: "maybe"} and config.problem_type == source.config.problem_type
    assert config.attention_window == WINDOW and config.max_position_embeddings == 106
    assert config.architectures == ["LongformerForSequenceClassification"]
    inputs = make_batch(source, [POSITIONS, 6])
    assert_equal_outputs(source, load(out, "LongformerForSequenceClassification"), inputs)


def test_a_head_with_another_activation_is_dropped_with_a_notice(tmp_path, caplog):
    # BERT's masked-LM head follows hidden_act, Longformer's is GELU
    make_source(tmp_path / "source", "bert", "ForMaskedLM", hidden_act="relu")
    with caplog.at_level(logging.WARNING, logger="longspan.conversion"):
        report, out = convert(tmp_path / "source")
    assert report.model_class == "LongformerModel"
    assert "cls.predictions.transform.dense.weight" in report.dropped
    assert "cls.predictions.transform.dense.weight" in caplog.text and "BertForMaskedLM" in caplog.text
    assert longspan.LongformerConfig.from_pretrained(out).architectures == ["LongformerModel"]


@pytest.mark.parametrize(
    ("model_type", "head", "dropped"),
    [
        ("electra", "ForPreTraining", "discriminator_predictions.dense.weight"),
        ("electra", "ForSequenceClassification", "classifier.out_proj.weight"),
        ("bert", "ForNextSentencePrediction", "cls.seq_relationship.weight"),
    ],
)
def test_a_head_without_a_counterpart_is_dropped_and_the_encoder_kept(tmp_path, model_type, head, dropped):
    source = make_source(tmp_path / "source", model_type, head)
    report, out = convert(tmp_path / "source")
    assert report.model_class == "LongformerModel" and dropped in report.dropped
    inputs = make_batch(source, [POSITIONS, 6])
    assert_equal_outputs(source.base_model, load(out, "LongformerModel"), inputs)


def test_pooler_and_masked_lm_head_of_one_checkpoint_are_both_kept(tmp_path):
    source = make_source(tmp_path / "source", "bert", "ForPreTraining")
    report, out = convert(tmp_path / "source")
    assert report.model_class == "LongformerForMaskedLM"
    assert report.dropped == ("cls.seq_relationship.bias", "cls.seq_relationship.weight")
    inputs = make_batch(source, [POSITIONS, 6])
    assert "pooler_output" in assert_equal_outputs(source.bert, load(out, "LongformerModel"), inputs)
    with torch.no_grad():
        wanted = source(**inputs).prediction_logits
        found = load(out, "LongformerForMaskedLM")(**inputs).logits
    valid = inputs["attention_mask"].bool()
    assert (wanted - found)[valid].abs().max() < 1e-4


def test_an_untied_decoder_stays_untied(tmp_path):
    source = make_source(tmp_path / "source", "roberta", "ForMaskedLM", tie_word_embeddings=False)
    _, out = convert(tmp_path / "source")
    model = load(out, "LongformerForMaskedLM")
    assert not torch.equal(model.lm_head.decoder.weight, model.longformer.embeddings.word_embeddings.weight)
    assert_equal_outputs(source, model, make_batch(source, [POSITIONS]))


def test_dtype_and_memory_of_the_source_are_kept(tmp_path):
    source = make_source(tmp_path / "source", "roberta").to(torch.bfloat16)
    source.save_pretrained(tmp_path / "half")
    report, out = convert(tmp_path / "half")
    model = load(out, "LongformerModel")
    assert model.dtype == torch.bfloat16 and report.difference < 1e-5
    assert torch.equal(model.embeddings.word_embeddings.weight, source.embeddings.word_embeddings.weight)


@pytest.mark.parametrize("head", ["Model", "ForMaskedLM", "ForQuestionAnswering", "ForMultipleChoice"])
def test_a_longformer_is_made_longer(tmp_path, head):
    torch.manual_seed(0)
    config = longspan.LongformerConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        attention_window=[8, 16], max_position_embeddings=42, initializer_range=0.2,
    )  # fmt: skip
    source = getattr(longspan, f"Longformer{head}")(config).eval()
    source.save_pretrained(tmp_path / "source")
    report, out = convert(tmp_path / "source", window=None, max_length=160)
    assert report.source_length == 40 and report.max_length == 160 and report.dropped == ()
    model = load(out, f"Longformer{head}")
    assert model.config.attention_window == [8, 16] and model.config.max_position_embeddings == 162
    inputs = make_batch(source, [40, 25], head)
    marks = torch.zeros_like(inputs["attention_mask"])
    marks[..., [0, 7]] = 1
    assert_equal_outputs(source, model, {**inputs, "global_attention_mask": marks})
    names = [name for name in source.state_dict() if "position_embeddings" not in name]
    for name in names:
        assert torch.equal(source.state_dict()[name], model.state_dict()[name]), name
    longer = make_batch(source, [160], head)
    with torch.no_grad():
        assert next(x for x in model(**longer).values() if x is not None).isfinite().all()


def test_a_longformer_can_get_another_window(tmp_path):
    source = longspan.LongformerModel(
        longspan.LongformerConfig(
            vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            attention_window=8, max_position_embeddings=42,
        )
    )  # fmt: skip
    source.save_pretrained(tmp_path / "source")
    _, out = convert(tmp_path / "source", window=64)
    assert longspan.LongformerConfig.from_pretrained(out).windows == [64]
