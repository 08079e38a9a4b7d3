"""The masked language modelling example of Longformer's page in transformers' documentation, word for word but for the
checkpoint, and the older form of it."""

import pytest
import torch

from longspan import LongformerForMaskedLM, LongformerTokenizer
from tests.models.hub_models import make, make_tokenizer

TXT = (
    "My friends are <mask> but they eat too many carbs."
    " That's why I decide not to eat with them."
    " I'll do the same with my <mask>."
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A directory with a model and its tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = make_tokenizer()
    make("Longformer", vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_the_example_of_the_page(checkpoint):
    tokenizer = LongformerTokenizer.from_pretrained(checkpoint)
    model = LongformerForMaskedLM.from_pretrained(checkpoint)

    input_ids = tokenizer([TXT], return_tensors="pt")["input_ids"]
    logits = model(input_ids).logits

    masked_index = (input_ids[0] == tokenizer.mask_token_id).nonzero()[0].item()
    probs = logits[0, masked_index].softmax(dim=0)
    values, predictions = probs.topk(5)
    words = tokenizer.decode(predictions).split()

    assert tokenizer.model_max_length == 128
    assert logits.shape == (*input_ids.shape, len(tokenizer)) and words
    assert probs.sum().item() == pytest.approx(1, abs=1e-5)
    assert values.tolist() == sorted(probs.tolist(), reverse=True)[:5]


def test_the_older_form_with_both_names_of_the_labels(checkpoint):
    tokenizer = LongformerTokenizer.from_pretrained(checkpoint)
    model = LongformerForMaskedLM.from_pretrained(checkpoint)
    input_ids = tokenizer.encode("This is a sentence from <mask> training data", return_tensors="pt")
    mlm_labels = tokenizer.encode("This is a sentence from the training data", return_tensors="pt")
    assert input_ids.shape == mlm_labels.shape

    with pytest.warns(FutureWarning, match="masked_lm_labels is deprecated, use labels"):
        loss = model(input_ids, labels=input_ids, masked_lm_labels=mlm_labels)[0]
    expected = torch.nn.functional.cross_entropy(model(input_ids).logits[0], mlm_labels[0])
    torch.testing.assert_close(loss, expected)
    with pytest.warns(FutureWarning):
        by_position = model(input_ids, None, None, None, None, None, input_ids, masked_lm_labels=mlm_labels).loss
    assert torch.equal(by_position, loss)
    with pytest.raises(TypeError, match="masked_lm_label"):
        model(input_ids, masked_lm_label=mlm_labels)
