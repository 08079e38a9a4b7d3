"""The machinery of transformers around the models: losses, checkpointing, tying, resizing, adapters, threads."""

import threading

import pytest
import torch

from longspan.models.nystromformer import NystromformerConfig
from tests.models.nystromformer.support import (
    HEADS,
    LENGTH,
    VOCAB,
    assert_close,
    make,
    make_ids,
    make_labels,
    predictions,
)


def batch(head, rows=2, length=LENGTH):
    ids = make_ids(rows, 2, length) if head == "ForMultipleChoice" else make_ids(rows, length)
    return {"input_ids": ids, **make_labels(head, rows, length)}


@pytest.mark.parametrize("head", HEADS)
def test_unknown_keywords_are_refused(head):
    with pytest.raises(TypeError, match="attention_maks"):
        make(head)(**batch(head), attention_maks=None)


@pytest.mark.parametrize("head", HEADS[1:])
def test_a_loss_without_a_target_is_zero_with_a_graph(head):
    model, arguments = make(head), batch(head)
    for name in ("labels", "start_positions", "end_positions"):
        if name in arguments:
            arguments[name] = torch.full_like(arguments[name], -100)
    loss = model(**arguments).loss
    assert loss.item() == 0.0
    loss.backward()
    assert model.get_input_embeddings().weight.grad is not None


@pytest.mark.parametrize(
    "head", ["ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForMultipleChoice"]
)
def test_num_items_in_batch_divides_the_sum(head):
    model, arguments = make(head), batch(head)
    targets = int((arguments["labels"] != -100).sum())
    mean = model(**arguments).loss
    assert_close(model(**arguments, num_items_in_batch=torch.tensor(4 * targets)).loss, mean / 4)


def test_question_answering_ignores_positions_outside_the_text():
    model = make("ForQuestionAnswering")
    ids, mask = make_ids(3, 20), torch.ones(3, 20, dtype=torch.long)
    mask[0, 15:] = 0
    good = torch.tensor([3, 4, 5])
    outside = torch.tensor([17, 4, 20])  # on padding, inside, beyond
    both = model(ids, attention_mask=mask, start_positions=outside, end_positions=outside).loss
    only = model(ids[1:2], start_positions=good[1:2], end_positions=good[1:2]).loss
    assert_close(both, only)


def test_masked_lm_labels_is_a_deprecated_name_that_wins():
    model, ids = make("ForMaskedLM"), make_ids(1, 12)
    with pytest.warns(FutureWarning, match="masked_lm_labels is deprecated"):
        old = model(ids, labels=torch.full_like(ids, -100), masked_lm_labels=ids).loss
    assert_close(old, model(ids, labels=ids).loss)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing(use_reentrant):
    grads = []
    for checkpointing in (False, True):
        model = make("ForMaskedLM").train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": use_reentrant})
            model.enable_input_require_grads()
        model(**batch("ForMaskedLM")).loss.backward()
        grads.append([p.grad for p in model.parameters()])
    # the reentrant form keeps no graph in its forward, which another library may multiply then
    largest = max(float(a.abs().max()) for a in grads[0])
    for a, b in zip(*grads, strict=True):
        assert float((a - b).abs().max()) <= (1e-5 * largest if use_reentrant else 0.0)


def test_checkpointing_with_outputs():
    model = make().train()
    model.activation_checkpointing_enable()
    outputs = model(make_ids(1, LENGTH), output_attentions=True, output_hidden_states=True)
    assert len(outputs.attentions) == 2 and len(outputs.hidden_states) == 3


def test_tied_and_untied_decoder():
    model = make("ForMaskedLM")
    assert model.cls.predictions.decoder.weight is model.nystromformer.embeddings.word_embeddings.weight
    assert model.cls.predictions.decoder.bias is model.cls.predictions.bias
    untied = make("ForMaskedLM", tie_word_embeddings=False)
    assert untied.cls.predictions.decoder.weight is not untied.nystromformer.embeddings.word_embeddings.weight
    untied(**batch("ForMaskedLM")).loss.backward()
    assert all(p.grad is not None for p in untied.parameters())  # distributed training needs no flag


@pytest.mark.parametrize("head", HEADS[1:])
def test_every_parameter_takes_part(head):
    model = make(head)
    model(**batch(head)).loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("size", [40, 60])
def test_resize_token_embeddings(size):
    model = make("ForMaskedLM")
    ids = make_ids(1, 12) % 40
    before = model(ids).logits
    model.resize_token_embeddings(size)
    after = model(ids)
    kept = min(size, VOCAB)
    assert model.config.vocab_size == size and after.logits.shape[-1] == size
    assert_close(after.logits[..., :kept], before[..., :kept])
    predictions = model.cls.predictions
    assert predictions.decoder.weight is model.get_input_embeddings().weight
    assert predictions.bias.shape == (size,) and predictions.bias is predictions.decoder.bias


def test_backends_give_the_same_numbers_and_others_are_refused():
    model, ids = make(), make_ids(2, 30)
    assert model.config._attn_implementation == "sdpa"
    fused = model(ids).last_hidden_state
    model.set_attn_implementation("eager")
    assert_close(model(ids).last_hidden_state, fused)
    with pytest.raises(ValueError, match="attn_implementation"):
        make(attn_implementation="nonsense")
    with pytest.raises(ValueError, match=r"(?i)flex.?attention"):
        make(attn_implementation="flex_attention")


def test_eight_threads_on_one_model():
    model = make()
    inputs = [make_ids(1, length, seed=length) for length in (5, 9, 14, 20, 27, 33, 41, 50)]
    with torch.no_grad():
        expected = [model(ids).last_hidden_state for ids in inputs]
    found = [None] * 8

    def work(index):
        with torch.no_grad():
            for _ in range(5):
                found[index] = model(inputs[index]).last_hidden_state

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, e in zip(found, expected, strict=True):
        assert torch.equal(a, e)


def test_the_same_seed_gives_the_same_weights_and_dropout():
    a, b = (make("ForMaskedLM", seed=3, hidden_dropout_prob=0.5).train() for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    results = []
    for model in (a, b):
        torch.manual_seed(0)
        results.append(model(make_ids(1, LENGTH)).logits)
    assert torch.equal(*results) and not torch.equal(results[0], a.eval()(make_ids(1, LENGTH)).logits)


def test_feed_forward_in_chunks():
    ids = make_ids(2, 20)
    assert_close(make(chunk_size_feed_forward=5)(ids).last_hidden_state, make()(ids).last_hidden_state)


def test_offloaded_weights_are_fetched():
    accelerate = pytest.importorskip("accelerate")
    model, ids = make(), make_ids(1, 20)
    expected = model(ids).last_hidden_state
    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    assert next(model.parameters()).is_meta
    assert_close(model(ids).last_hidden_state, expected)


def test_lora_adapters():
    peft = pytest.importorskip("peft")
    model = make("ForSequenceClassification")
    arguments = batch("ForSequenceClassification")
    expected = model(**arguments).logits
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "key", "value", "dense"])
    adapted = peft.get_peft_model(model, config)
    assert_close(adapted(**arguments).logits, expected)
    adapted(**arguments).loss.backward()
    grads = {name: p.grad for name, p in adapted.named_parameters() if "lora_B" in name}
    assert len(grads) == 12 and all(grad.any() for grad in grads.values())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "exactly one of input_ids and inputs_embeds, got neither"),
        ({"input_ids": make_ids(1, 5), "inputs_embeds": torch.zeros(1, 5, 32)}, ValueError, "got both"),
        ({"input_ids": make_ids(5)}, ValueError, r"input_ids must have the shape .*, got \(5,\)"),
        ({"input_ids": torch.zeros(1, 5)}, TypeError, "input_ids must be of .*, got torch.float32"),
        (
            {"input_ids": torch.full((1, 5), 50)},
            ValueError,
            "input_ids must lie within .* 0 to 49, got 50",
        ),
        ({"inputs_embeds": torch.zeros(1, 5, 31)}, ValueError, "hidden_size = 32"),
        ({"attention_mask": torch.ones(1, 4)}, ValueError, r"attention_mask must have .* \(1, 5\), got \(1, 4\)"),
        ({"attention_mask": torch.full((1, 5), 2)}, ValueError, "attention_mask must hold 0 or 1, got 2"),
        ({"attention_mask": torch.ones(1, 1, 5, 5)}, ValueError, "attention_mask must have the shape"),
        ({"token_type_ids": torch.full((1, 5), 2)}, ValueError, "token_type_ids must lie within type_vocab_size"),
        (
            {"position_ids": torch.full((1, 5), 66)},
            ValueError,
            "position_ids must lie within .*, 0 to 65",
        ),
        ({"segment_ids": torch.zeros(1, 5)}, TypeError, "segment_ids must be of .*, got torch.float32"),
        ({"segment_ids": torch.zeros(2, 5).long()}, ValueError, "segment_ids must have the shape"),
        ({"input_ids": make_ids(1, 65)}, ValueError, "the input has 65 tokens, but the model has positions for 64"),
        ({"inputs_embeds": torch.zeros(1, 65, 32)}, ValueError, "the input has 65 tokens"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    if arguments and not {"input_ids", "inputs_embeds"} & set(arguments):
        arguments = {"input_ids": make_ids(1, 5), **arguments}
    with pytest.raises(error, match=message):
        make()(**arguments)


def test_padding_needs_no_positions():
    model, ids = make(), make_ids(1, 100)
    mask = torch.zeros_like(ids)
    mask[0, 30:94] = 1
    assert_close(model(ids, attention_mask=mask).last_hidden_state[:, 30:94], model(ids[:, 30:94]).last_hidden_state)
    packed = torch.arange(100)[None] // 50
    assert model(ids, segment_ids=packed).last_hidden_state.shape == (1, 100, 32)


def test_the_old_spelling_of_the_inverse_option():
    assert NystromformerConfig(inv_init_coeff_option=True).inv_coeff_init_option
    config = NystromformerConfig()
    config.inv_init_coeff_option = True
    assert config.inv_coeff_init_option and "inv_init_coeff_option" not in config.to_dict()


def test_outputs_of_all_heads_have_their_shapes():
    shapes = {head: {k: tuple(v.shape) for k, v in predictions(make(head)(**batch(head))).items()} for head in HEADS}
    assert shapes == {
        "Model": {"last_hidden_state": (2, LENGTH, 32)},
        "ForMaskedLM": {"logits": (2, LENGTH, VOCAB)},
        "ForSequenceClassification": {"logits": (2, 3)},
        "ForMultipleChoice": {"logits": (2, 2)},
        "ForTokenClassification": {"logits": (2, LENGTH, 3)},
        "ForQuestionAnswering": {"start_logits": (2, LENGTH), "end_logits": (2, LENGTH)},
    }
