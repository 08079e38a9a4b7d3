"""What is learnt from text alone: a byte-level BPE, for models of both families, and the first word embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In the order of their ids; the first four are RoBERTa's."""


def train_tokenizer(texts: Iterable[str], size: int = 8192) -> Tokenizer:
    """A byte-level BPE of `size` entries, every digit a token of its own.

    Encoding adds ``<s>`` and ``</s>``; offsets are code points without the blank that a token begins with.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=None))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS[:-1]]
    specials.append(AddedToken(SPECIAL_TOKENS[-1], special=True, normalized=False, lstrip=True))
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def train_family_tokenizer(texts: Iterable[str], family: str = "longformer", size: int = 8192) -> Any:
    """The tokenizer of a new model, ready for `save_pretrained`.

    Both families get the byte-level BPE of :func:`train_tokenizer`, which can write every text, so that they can be
    compared on the same tokens. It is saved as the family's own class, and `AutoTokenizer` loads it.

    Args:
        texts: read once, in a stream.
        family: "longformer" or "nystromformer".
        size: entries of the vocabulary; fewer come back where the texts are short.

    Raises:
        ValueError: there is no such family, or `size` has no room for special tokens and bytes.
    """
    smallest = len(SPECIAL_TOKENS) + 256
    if size < smallest:
        raise ValueError(f"size must be at least {smallest}, special tokens and one entry a byte, got {size}")
    if family == "longformer":
        from longspan.models.longformer import LongformerTokenizer

        return LongformerTokenizer(tokenizer_object=train_tokenizer(texts, size))
    if family == "nystromformer":
        from tokenizers import AddedToken

        from longspan.models.nystromformer import NystromformerTokenizer

        begin, pad, end, unknown, mask = SPECIAL_TOKENS
        return NystromformerTokenizer(
            tokenizer_object=train_tokenizer(texts, size),
            bos_token=begin,
            cls_token=begin,
            pad_token=pad,
            sep_token=end,
            eos_token=end,
            unk_token=unknown,
            mask_token=AddedToken(mask, lstrip=True, normalized=False, special=True),
        )
    raise ValueError(f"there is no family {family!r}; the families are longformer and nystromformer")


def embed_words(documents: Iterable[np.ndarray], size: int, width: int, reach: int = 5, seed: int = 0) -> np.ndarray:
    """Word vectors from counts: positive pointwise mutual information of neighbours, then a truncated SVD.

    Args:
        documents: token ids, one integer array a document.
        size: number of ids. width: length of a vector. reach: neighbours counted on each side, nearer ones more.
        seed: of the randomised SVD.

    Returns:
        (size, width) float32, root mean square 1 over all entries; ids that never occur get zeros, and so does
        every id where none has a neighbour.

    Source: Levy, Goldberg, Dagan: Improving Distributional Similarity with Lessons Learned from Word Embeddings, 2015.
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    documents = [np.asarray(d, dtype=np.int64) for d in documents]
    counts = sparse.csr_matrix((size, size), dtype=np.float64)
    for distance in range(1, reach + 1):
        keys = [d[:-distance] * size + d[distance:] for d in documents if len(d) > distance]
        if not keys:
            break
        pairs, n = np.unique(np.concatenate(keys), return_counts=True)
        weights = n * ((reach + 1 - distance) / reach)
        counts = counts + sparse.csr_matrix((weights, (pairs // size, pairs % size)), shape=(size, size))
    counts = (counts + counts.T).tocoo()
    vectors = np.zeros((size, width), dtype=np.float32)
    if not counts.nnz:
        return vectors
    total = counts.sum()
    # The 3/4 power softens the bonus of rare neighbours.
    left = np.asarray(counts.sum(axis=1)).ravel()
    right = left**0.75
    right /= right.sum()
    pmi = np.log(counts.data * total / (left[counts.row] * (right[counts.col] * total)))
    keep = pmi > 0
    ppmi = sparse.csr_matrix((pmi[keep], (counts.row[keep], counts.col[keep])), shape=(size, size))
    if not ppmi.nnz:
        return vectors
    u, s, _ = randomized_svd(ppmi, min(width, size), n_iter=4, random_state=seed)
    vectors[:, : len(s)] = u * np.sqrt(s)
    return vectors / np.sqrt((vectors**2).mean())
