"""Vectors of documents: the mean over their tokens at any length, as sentence-transformers computes it."""

import json

import numpy as np
import pytest
import torch

from longspan.predict import Embedder, embed
from longspan.predict.sentence_folder import save_sentence_folder
from tests.predict.fakes import WORDS, save_checkpoint

TEXTS = ["a buyer", WORDS, "", f"{WORDS} {WORDS} {WORDS}", "Ohio"]


@pytest.fixture(scope="module", params=["longformer", "nystromformer"])
def folder(request, tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), request.param)


@pytest.fixture(scope="module")
def embedder(folder):
    return Embedder.from_pretrained(folder, device="cpu")


def states(embedder, ids):
    with torch.inference_mode():
        return embedder.model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()


def test_short_texts_give_the_mean_over_their_tokens(embedder):
    short = TEXTS[:3]
    vectors = embedder(short)
    assert vectors.shape == (3, 32) and vectors.dtype == np.float32
    for text, vector in zip(short, vectors, strict=True):
        ids = embedder.encoding.tokenizer(text)["input_ids"]
        assert len(ids) <= embedder.encoding.max_length
        assert np.allclose(vector, states(embedder, ids).mean(0), atol=1e-5)


def test_a_long_text_counts_every_token_once(embedder):
    text = TEXTS[3]
    ids = embedder.encoding.tokenizer(text)["input_ids"]
    inner, room, stride = ids[1:-1], 60, embedder.encoding.stride
    assert stride == 15 and len(inner) > 2 * room
    starts = [*range(0, len(inner) - room, room - stride), len(inner) - room]
    windows = [states(embedder, [0, *inner[s : s + room], 2]) for s in starts]
    # every token from the window in which it is farthest from an edge
    total = windows[0][0] + windows[-1][-1]
    for token in range(len(inner)):
        inside = [i for i, s in enumerate(starts) if s <= token < s + room]
        best = max(inside, key=lambda i: (min(token - starts[i], starts[i] + room - 1 - token), -i))
        total = total + windows[best][1 + token - starts[best]]
    assert np.allclose(embedder([text])[0], total / len(ids), atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours(embedder):
    together = embedder(TEXTS)
    alone = np.concatenate([embedder([text], batch_tokens=1) for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-2)


def test_cls_is_the_first_token(folder):
    embedder = Embedder.from_pretrained(folder, "cls", device="cpu")
    ids = embedder.encoding.tokenizer(WORDS)["input_ids"]
    assert np.allclose(embedder([WORDS])[0], states(embedder, ids)[0], atol=1e-5)
    assert np.isfinite(embedder([TEXTS[3]])).all()


def test_normalized_vectors_have_length_one(embedder, folder):
    vectors = embed(folder, TEXTS, normalize=True, device="cpu")
    plain = embedder(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(vectors, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-5)


def test_a_checkpoint_with_any_head_has_an_encoder(folder, tmp_path):
    family = json.loads((folder / "config.json").read_text())["model_type"]
    other = save_checkpoint(tmp_path, family, "ForSequenceClassification")
    assert embed(other, ["a"], device="cpu").shape == (1, 32)


def test_faulty_calls_are_refused(embedder, folder):
    with pytest.raises(TypeError, match="texts must be several strings"):
        embedder("a text")
    with pytest.raises(TypeError, match="text must be a str, got NoneType"):
        embedder([None])
    with pytest.raises(ValueError, match="pooling must be one of mean, cls, got 'max'"):
        Embedder.from_pretrained(folder, "max")
    with pytest.raises(ValueError, match="max_length must be from 1 to 62 tokens, got 63"):
        Embedder.from_pretrained(folder, max_length=63)
    assert embedder([]).shape == (0, 32)


@pytest.mark.parametrize("taken", ["file", "full"])
def test_nothing_is_overwritten(embedder, tmp_path, taken):
    target = tmp_path / "model"
    if taken == "file":
        target.write_text("")
    else:
        target.mkdir()
        (target / "a").write_text("")
    with pytest.raises(ValueError, match="is there already"):
        save_sentence_folder(embedder, target)


WAYS = [("mean", True), ("mean", False), ("cls", False)]


@pytest.mark.parametrize("registered", [True, False])
def test_sentence_transformers_gives_the_same_vectors(folder, tmp_path, registered):
    """Without ``longspan.register()`` it takes the classes of transformers, whose Nyströmformer reads few lengths."""
    pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")
    from tests._support import run_python

    if not registered and "nystrom" in (folder / "config.json").read_text():
        pytest.skip("the Nyströmformer of transformers fails on lengths that are no multiple of its landmarks")
    texts = [TEXTS[0], TEXTS[1], TEXTS[4]]
    expected = []
    for number, (pooling, normalize) in enumerate(WAYS):
        embedder = Embedder.from_pretrained(folder, pooling, normalize, device="cpu")
        save_sentence_folder(embedder, tmp_path / str(number))
        expected.append(embedder(texts))
    code = f"""
import json, sys
from sentence_transformers import SentenceTransformer
{"import longspan; longspan.register()" if registered else ""}
for number in range({len(WAYS)}):
    model = SentenceTransformer(f"{{sys.argv[1]}}/{{number}}", device="cpu")
    vectors = model.encode(json.loads(sys.argv[2]))
    print(json.dumps([type(model[0].auto_model).__module__, model.max_seq_length, vectors.tolist()]))
"""
    printed = run_python(code, str(tmp_path), json.dumps(texts)).splitlines()[-len(WAYS) :]
    for line, vectors in zip(printed, expected, strict=True):
        module, length, found = json.loads(line)
        assert module.startswith("longspan." if registered else "transformers.") and length == 62
        assert np.allclose(np.array(found), vectors, atol=1e-5)
