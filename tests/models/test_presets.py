"""Sizes by name: models that run, the same whoever reads them, with the parameters that the documentation says."""

import re
from pathlib import Path

import pytest
import torch
from transformers import BertTokenizer

from longspan.models.longformer import LongformerForMaskedLM, LongformerTokenizer
from longspan.models.nystromformer import NystromformerForMaskedLM
from longspan.models.presets import SIZES, preset_config, token_fields
from tests.models.tokenizer_texts import SMALL_BPE

MODELS = {"longformer": LongformerForMaskedLM, "nystromformer": NystromformerForMaskedLM}
PAGE = Path(__file__).parents[2] / "docs" / "pretraining.md"


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("size", ["tiny", "mini"])
def test_a_preset_reads_up_to_its_longest_document_and_back(size, family, tmp_path):
    torch.manual_seed(0)
    model = MODELS[family](preset_config(size, family, vocab_size=300, max_length=200)).eval()
    ids = torch.randint(5, 300, (2, 200))
    with torch.inference_mode():
        logits = model(input_ids=ids).logits
        assert logits.shape == (2, 200, 300) and logits.isfinite().all()
        with pytest.raises(ValueError, match="201"):
            model(input_ids=torch.randint(5, 300, (1, 201)))
        model.save_pretrained(tmp_path)
        again = MODELS[family].from_pretrained(tmp_path).eval()
        assert torch.equal(again(input_ids=ids).logits, logits)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("max_length", [1, 32, 33, 64, 65, 512, 4096, 5000])
def test_no_reader_takes_nystrom_attention_for_softmax(size, max_length):
    config = preset_config(size, "nystromformer", vocab_size=300, max_length=max_length)
    assert not config.uses_softmax
    # what transformers reads
    assert config.segment_means_seq_len % config.num_landmarks == 0
    assert config.segment_means_seq_len != config.num_landmarks
    assert config.segment_means_seq_len >= max_length


def test_the_documentation_says_how_many_parameters_there_are():
    rows = re.findall(r"^\| `(\w+)` \|([ \d,|]*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _ in rows] == list(SIZES)
    for name, rest in rows:
        layers, width, heads, window, landmarks, *counts = (int(cell.replace(",", "")) for cell in rest.split("|"))
        assert (layers, width, window, landmarks) == SIZES[name]
        for family, count in zip(MODELS, counts, strict=True):
            config = preset_config(name, family, vocab_size=8192)
            assert config.num_attention_heads == heads
            with torch.device("meta"):
                model = MODELS[family](config)
            model.tie_weights()
            assert model.num_parameters() == count, f"{name} {family}"


def test_fields_of_the_caller_come_first():
    config = preset_config("tiny", vocab_size=300, max_length=64, attention_window=16, pad_token_id=0, num_labels=7)
    assert (config.attention_window, config.num_labels) == (16, 7)
    # one row is reserved where the padding's is the first
    assert config.max_position_embeddings == 65
    assert preset_config("tiny", "nystromformer", vocab_size=300, num_landmarks=16).num_landmarks == 16


def test_tokens_of_a_tokenizer():
    tokenizer = LongformerTokenizer.from_pretrained(SMALL_BPE)
    fields = token_fields(tokenizer)
    assert fields == {
        "vocab_size": len(tokenizer),
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "sep_token_id": 2,
    }
    assert preset_config("tiny", **fields).sep_token_id == 2
    assert preset_config("tiny", "nystromformer", **fields).vocab_size == len(tokenizer)


def test_tokens_of_a_tokenizer_that_has_no_bos_and_eos():
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"])}
    fields = token_fields(BertTokenizer(vocab=vocabulary))
    assert fields == {"vocab_size": 6, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "huge"}, "there is no size 'huge'; the sizes are tiny, mini, small, base"),
        ({"family": "bert"}, "there is no family 'bert'; the families are longformer and nystromformer"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
    ],
)
def test_what_is_not_there_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        preset_config(**{"size": "tiny", "vocab_size": 300, **arguments})
