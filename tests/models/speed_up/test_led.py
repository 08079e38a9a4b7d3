"""transformers' LED says the same with longspan's attention in its encoder."""

import pytest
import torch
import transformers

from longspan.models.speed_up.swapped import Swapped
from tests.models.longformer_cases import scaled_error, scatter
from tests.models.speed_up.support import (
    TOLERANCE,
    assert_same_gradients,
    assert_same_outputs,
    backward,
    sped_up_copy,
)

CLASSES = ("LEDModel", "LEDForConditionalGeneration", "LEDForQuestionAnswering")


def make(name="LEDModel", **changes):
    sizes = {
        "vocab_size": 60, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "attention_window": [8, 4],
        "max_encoder_position_embeddings": 128, "max_decoder_position_embeddings": 32, "dropout": 0.0,
        "attention_dropout": 0.0, "activation_dropout": 0.0,
    }  # fmt: skip
    model = getattr(transformers, name)(transformers.LEDConfig(**{**sizes, **changes})).eval()
    scatter(model)
    return model


def make_inputs(lengths, globals_=(0, 4)):
    generator = torch.Generator().manual_seed(2)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(3, 60, mask.shape, generator=generator).masked_fill(mask == 0, 1)
    marks = torch.zeros_like(mask)
    marks[:, list(globals_)] = 1
    decoder = torch.randint(3, 60, (len(lengths), 6), generator=generator)
    return {
        "input_ids": ids, "attention_mask": mask, "global_attention_mask": marks * mask, "decoder_input_ids": decoder,
    }  # fmt: skip


@pytest.mark.parametrize("globals_", [(), (0,), (0, 4, 17)])
@pytest.mark.parametrize("name", CLASSES)
def test_outputs_and_gradients(name, globals_):
    theirs = make(name)
    ours = sped_up_copy(theirs)
    inputs = make_inputs([21, 18], globals_)
    if name == "LEDForConditionalGeneration":
        inputs["labels"] = inputs["decoder_input_ids"].roll(1, 1)
    if name == "LEDForQuestionAnswering":
        inputs |= {"start_positions": torch.tensor([1, 2]), "end_positions": torch.tensor([3, 4])}
    e, a = (model(**inputs, use_cache=False, output_hidden_states=True) for model in (theirs, ours))
    assert_same_outputs(a, e, inputs["attention_mask"].bool())
    backward(e)
    backward(a)
    assert_same_gradients(ours, theirs)


def test_only_the_encoder_is_changed():
    ours = sped_up_copy(make())
    swapped = [name for name, module in ours.named_modules() if isinstance(module, Swapped)]
    assert swapped == [f"encoder.layers.{i}.self_attn.longformer_self_attn" for i in range(2)]
    assert "_pad_to_window_size" in vars(ours.encoder) and "_pad_to_window_size" not in vars(ours)


def test_attention_maps():
    theirs = make()
    ours = sped_up_copy(theirs)
    inputs = make_inputs([24, 18])
    with torch.no_grad():
        e, a = (model(**inputs, output_attentions=True) for model in (theirs, ours))
    valid = inputs["attention_mask"].bool()
    for found, wanted in zip(a.encoder_attentions, e.encoder_attentions, strict=True):
        assert scaled_error(found.transpose(1, 2)[valid], wanted.transpose(1, 2)[valid]) <= TOLERANCE
    for found, wanted in zip(a.encoder_global_attentions, e.encoder_global_attentions, strict=True):
        assert scaled_error(found, wanted) <= TOLERANCE


def test_generation():
    theirs = make("LEDForConditionalGeneration")
    ours = sped_up_copy(theirs)
    inputs = make_inputs([21, 18])
    del inputs["decoder_input_ids"]
    e, a = (model.generate(**inputs, max_new_tokens=8, num_beams=2, do_sample=False) for model in (theirs, ours))
    assert torch.equal(a, e)
