"""Text that goes on."""

from itertools import islice

import pytest
import torch

from longspan.charlm.generating import generate
from tests.charlm.toys import WORDS
from tests.models.causal_cases import build


def test_the_toy_writes_words(toy_model):
    text = bytes(generate(toy_model, b"the ", 400, temperature=0.5)).decode()
    words = text.replace(".", " ").split()[:-1]
    assert sum(word in WORDS for word in words) > 0.7 * len(words), text


def test_the_likeliest_is_that_of_generate(toy_model):
    prompt = b"the whale "
    found = bytes(generate(toy_model, prompt, 120, temperature=0))
    whole = toy_model.generate(torch.tensor([list(prompt)]), max_new_tokens=120, do_sample=False)
    assert prompt + found == bytes(whole[0].tolist())
    assert bytes(generate(toy_model, prompt, 120, top_k=1, seed=9)) == found


def test_seeds_and_temperatures(toy_model):
    texts = [
        bytes(generate(toy_model, b"a", 60, seed=seed, temperature=t)) for seed, t in ((0, 1), (0, 1), (1, 1), (0, 3))
    ]
    assert texts[0] == texts[1] and len(set(texts)) == 3


def test_it_has_no_end(toy_model):
    # far beyond what the model reaches, 80 characters
    assert len(list(islice(generate(toy_model, b"the", None), 300))) == 300


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": b""}, "prompt must have at least one character"),
        ({"characters": -1}, "characters must not be negative, got -1"),
        ({"temperature": -0.5}, r"temperature must be a number of at least 0, got -0\.5"),
        ({"temperature": float("nan")}, "temperature must be a number of at least 0, got nan"),
        ({"top_k": 257}, "top_k must be 0 to 256, got 257"),
    ],
)
def test_arguments_that_are_refused(options, message, toy_model):
    with pytest.raises(ValueError, match=message):
        generate(toy_model, **{"prompt": b"a", **options})


def test_a_model_of_other_tokens_is_refused():
    with pytest.raises(ValueError, match="must predict 256 characters, got one of 50 tokens"):
        generate(build(), b"a")
