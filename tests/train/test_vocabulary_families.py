"""A tokenizer trained for a new model, saved and loaded as the family's own."""

import pytest

from longspan import LongformerTokenizerFast
from longspan.models.nystromformer import NystromformerTokenizer
from longspan.models.presets import preset_config, token_fields
from longspan.train.vocabulary import SPECIAL_TOKENS, train_family_tokenizer
from tests._support import run_python

TEXTS = ["The Licensee shall pay $1,250 by May 8, 2014.\n\nThe “Licensor” agrees." * 5, "Société anonyme"]
CLASSES = {"longformer": LongformerTokenizerFast, "nystromformer": NystromformerTokenizer}
ODD = ["", " two  blanks ", "合同 naïve 😀\r\n\tx", "before <mask> after", "pay 2014"]


@pytest.mark.parametrize("family", CLASSES)
def test_it_comes_back_as_it_was(family, tmp_path):
    cls = CLASSES[family]
    tokenizer = train_family_tokenizer(iter(TEXTS), family, 300)
    assert type(tokenizer) is cls and len(tokenizer) == 300
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS)
    tokenizer.save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path)
    assert again.special_tokens_map == tokenizer.special_tokens_map
    for text in (*TEXTS, *ODD):
        encoded = tokenizer(text, return_offsets_mapping=True)
        assert again(text, return_offsets_mapping=True).data == encoded.data
        assert again(text, "pair").data == tokenizer(text, "pair").data
        if "<mask>" not in text:
            assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True) == text
    ids = again(ODD[3])["input_ids"]
    assert ids.count(again.mask_token_id) == 1
    # <mask> takes the blank before it
    assert again.decode(ids[: ids.index(again.mask_token_id)], skip_special_tokens=True) == "before"


def test_auto_tokenizer_loads_it_with_the_models_length(tmp_path):
    for family in CLASSES:
        tokenizer = train_family_tokenizer(TEXTS, family, 300)
        tokenizer.save_pretrained(tmp_path / family)
        preset_config("tiny", family, max_length=100, **token_fields(tokenizer)).save_pretrained(tmp_path / family)
    code = (
        "import sys, longspan; from transformers import AutoTokenizer; longspan.register()\n"
        "for t in map(AutoTokenizer.from_pretrained, sys.argv[1:]):\n"
        "    print(type(t).__module__, t.model_max_length, t('pay 2014')['input_ids'])"
    )
    ids = tokenizer("pay 2014")["input_ids"]
    assert run_python(code, *(str(tmp_path / family) for family in CLASSES)).splitlines() == [
        f"longspan.models.{family}.tokenization 100 {ids}" for family in CLASSES
    ]


def test_short_texts_give_a_small_vocabulary():
    tokenizer = train_family_tokenizer(["a"], size=1000)
    assert len(tokenizer) == 261


def test_what_is_not_there_is_named():
    with pytest.raises(ValueError, match="there is no family 'bert'; the families are longformer and nystromformer"):
        train_family_tokenizer(TEXTS, "bert")
    with pytest.raises(ValueError, match=r"size must be at least 261, .* got 260"):
        train_family_tokenizer(TEXTS, size=260)
