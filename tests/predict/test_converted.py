"""A BERT made long has BERT's own tokenizer, mask token and token types: every function reads it all the same."""

import pytest

from longspan.predict import answer, classify, embed, fill
from tests.models.conversion_cases import convert, make_source

WORDS = ["the", "licensor", "may", "assign", "this", "to", "a", "buyer", "in", "ohio", "and", "nobody", "else"]
LONG = " ".join(WORDS * 12)


@pytest.fixture(scope="module", params=["longformer", "nystromformer"])
def made(request, tmp_path_factory):
    """From the name of a head to the folder of a converted model with it."""
    from transformers import BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), model_max_length=24)

    def make(head):
        source = folder / head
        source.mkdir()
        make_source(source, "bert", head, vocab_size=len(vocabulary))
        tokenizer.save_pretrained(source)
        return convert(source, request.param, max_length=64)[1]

    return make


def test_gaps(made):
    """All of the vocabulary is among the candidates: 13 words and 5 special tokens."""
    checkpoint = made("ForMaskedLM")
    for mask in ("<mask>", "[MASK]"):
        text = f"The licensor {mask} assign it. {LONG} A {mask} in Ohio"
        gaps = fill(checkpoint, text, top_k=18, device="cpu")
        assert [text[gap.start : gap.end] for gap in gaps] == [mask] * 2
        assert {c.text for gap in gaps for c in gap.candidates} >= set(WORDS)


def test_answers(made):
    (reply,) = answer(made("ForQuestionAnswering"), LONG, "who may assign ?", top_k=200, device="cpu")
    assert reply.candidates and all(LONG[s.start : s.end] == s.text != "" for s in reply.candidates)
    assert max(span.end for span in reply.candidates) > len(LONG) / 2


def test_vectors(made):
    assert embed(made("Model"), [LONG, "a buyer"], device="cpu").shape == (2, 32)


@pytest.mark.parametrize("made", ["longformer"], indirect=True)  # a Nyströmformer has no place for BERT's classifier
def test_classes(made):
    checkpoint = made("ForSequenceClassification")
    found = classify(checkpoint, LONG, device="cpu")
    assert found.windows > 1 and sum(found.scores.values()) == pytest.approx(1)
    assert classify(checkpoint, "a buyer", LONG, device="cpu").windows > 1
