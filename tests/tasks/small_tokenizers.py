"""Small tokenizers of the three common kinds, made from a few sentences."""

from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from longspan.train.vocabulary import train_family_tokenizer

SENTENCES = [
    "The licensee shall pay the licensor a royalty before the first of every month.",
    "Neither party shall be liable for losses that nobody could have foreseen at the time of signing.",
    "An agreement may be terminated by either party, if the other one breaks it; notice must be given in writing.",
    "Long documents hold many sentences, and most words come back again and again: party, agreement, licensee.",
]
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@cache
def byte_level():
    return train_family_tokenizer(SENTENCES * 3, "longformer", 340)


@cache
def word_piece():
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.train_from_iterator(
        SENTENCES * 3, trainers.WordPieceTrainer(vocab_size=90, special_tokens=list(BERT), show_progress=False)
    )
    return _with_bert_tokens(backend)


@cache
def sentence_piece():
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.train_from_iterator(
        SENTENCES * 3,
        trainers.UnigramTrainer(vocab_size=90, special_tokens=list(BERT), unk_token="[UNK]", show_progress=False),
    )
    return _with_bert_tokens(backend)


def _with_bert_tokens(backend):
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


KINDS = {"byte-level BPE": byte_level, "WordPiece": word_piece, "SentencePiece": sentence_piece}
