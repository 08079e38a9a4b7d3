"""The pipelines of transformers run with the models and the tokenizer, and find what its models find.

Question answering has no pipeline in transformers 5.23.
"""

import pytest
import torch
import transformers

from tests.models.hub_models import FAMILIES, make, make_tokenizer

LABELS = ("contradiction", "neutral", "entailment")
TEXTS = [
    "This Agreement is made between the parties on the first day of May.",
    "Governing law: the State of New York.",
    "Hello",
]
MASKED = ["It is a good <mask> for the agreement between the parties.", "The <mask> is here.", "<mask> now"]
TASKS = {
    "fill-mask": ("ForMaskedLM", (MASKED,)),
    "token-classification": ("ForTokenClassification", (TEXTS,)),
    "text-classification": ("ForSequenceClassification", (TEXTS,)),
    "feature-extraction": ("Model", (TEXTS,)),
    "zero-shot-classification": ("ForSequenceClassification", (TEXTS, ["law", "sport", "music"])),
}


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def build(task, family, tokenizer, **changes):
    head = TASKS[task][0]
    if head != "ForMaskedLM":
        changes |= {"id2label": dict(enumerate(LABELS)), "label2id": {x: i for i, x in enumerate(LABELS)}}
    model = make(family, head, vocab_size=len(tokenizer), **changes)
    return transformers.pipeline(task, model=model, tokenizer=tokenizer)


def assert_same(found, expected):
    """Equal but for rounding, through lists and dictionaries."""
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert found.keys() == expected.keys()
        for key in found:
            assert_same(found[key], expected[key])
    elif isinstance(found, list) and found and isinstance(found[0], float):
        torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=1e-5, rtol=1e-5)
    elif isinstance(found, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    elif isinstance(found, str | int | None):
        assert found == expected
    else:
        assert float(found) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", TASKS)
def test_a_batch_gives_what_each_text_gives(task, family, tokenizer):
    pipe = build(task, family, tokenizer)
    texts, *rest = TASKS[task][1]
    alone = [pipe(text, *rest) for text in texts]
    together = pipe(texts, *rest, batch_size=len(texts))
    if task == "text-classification":
        alone = [x[0] for x in alone]
    if task == "feature-extraction":  # a batch keeps its padding
        together = [[x[0][: len(a[0])]] for x, a in zip(together, alone, strict=True)]
    assert len(together) == len(texts)
    assert_same(together, alone)
    assert alone[0] != alone[1]


@pytest.mark.parametrize("task", TASKS)
def test_longformer_finds_what_transformers_finds(task, tokenizer):
    pipe = build(task, "Longformer", tokenizer)
    theirs = make("Longformer", TASKS[task][0], lib=transformers, **pipe.model.config.to_diff_dict())
    theirs.load_state_dict(pipe.model.state_dict())
    expected = transformers.pipeline(task, model=theirs, tokenizer=tokenizer)(*TASKS[task][1])
    assert_same(pipe(*TASKS[task][1]), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_fill_mask_puts_words_in_the_place_of_the_mask(family, tokenizer):
    rows = build("fill-mask", family, tokenizer)(MASKED[0], top_k=5)
    scores = [row["score"] for row in rows]
    assert len(rows) == 5 and scores == sorted(scores, reverse=True)
    for row in rows:
        assert row["sequence"] == MASKED[0].replace(" <mask>", row["token_str"])


@pytest.mark.parametrize("family", FAMILIES)
def test_aggregated_tags_have_offsets_of_the_text(family, tokenizer):
    text = " ".join(TEXTS)
    pipe = build("token-classification", family, tokenizer)
    groups = pipe(text, aggregation_strategy="simple")
    assert groups
    for group in groups:
        assert text[group["start"] : group["end"]].strip() == group["word"].strip()
        assert group["entity_group"] in LABELS


@pytest.mark.parametrize("family", FAMILIES)
def test_long_texts_in_overlapping_windows(family):
    """``stride`` splits what is longer than the model; every window is a row of one document."""
    tokenizer = make_tokenizer(model_max_length=32)
    text = " ".join(TEXTS * 6)
    found = build("token-classification", family, tokenizer)(text, aggregation_strategy="simple", stride=8)
    assert found[-1]["end"] > len(text) - 30
    assert all(text[x["start"] : x["end"]].strip() == x["word"].strip() for x in found)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_longer_than_the_model_is_refused_by_length(family, tokenizer):
    pipe = build("text-classification", family, tokenizer)
    with pytest.raises(ValueError, match=r"tokens, but the model has positions for 128"):
        pipe(" ".join(TEXTS * 20))
    assert pipe(" ".join(TEXTS * 20), truncation=True, max_length=128)[0]["label"] in LABELS
