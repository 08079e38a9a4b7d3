"""A tiny random checkpoint, for what has to go through a real model."""

import pytest


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A folder with a random Longformer that marks nearly every token as governing law or parties."""
    import torch
    from tokenizers import ByteLevelBPETokenizer

    from longspan import LongformerConfig, LongformerForTokenClassification, LongformerTokenizer

    folder = tmp_path_factory.mktemp("checkpoint")
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(["This agreement is governed by law."], 300, special_tokens=special, show_progress=False)
    bpe.save_model(str(folder))
    LongformerTokenizer(vocab_file=str(folder / "vocab.json"), merges_file=str(folder / "merges.txt")).save_pretrained(
        folder
    )
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        attention_window=8,
        max_position_embeddings=34,
        position_period=32,
        type_vocab_size=1,
        num_labels=2,
        id2label={0: "I-Governing Law", 1: "I-Parties"},
        label2id={"I-Governing Law": 0, "I-Parties": 1},
        problem_type="multi_label_classification",
    )
    model = LongformerForTokenClassification(config)
    with torch.no_grad():
        model.classifier.bias.fill_(1.0)
    model.save_pretrained(folder)
    return folder
