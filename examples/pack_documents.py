"""Three documents in one row, without padding: each gets what it gets alone.

    python examples/pack_documents.py

`segment_ids` says which document a token belongs to. Tokens see each other only where the ids are equal, and positions
restart in each document, so packing saves the padding of a batch and changes no result.
"""

import torch

from longspan import LongformerConfig, LongformerModel


def main() -> None:
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=1000,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        attention_window=64,
        max_position_embeddings=2050,
    )
    model = LongformerModel(config, add_pooling_layer=False).eval()
    documents = [torch.randint(5, 1000, (length,)) for length in (700, 33, 1290)]

    packed = torch.cat(documents)[None]
    segment_ids = torch.cat([torch.full((len(d),), i) for i, d in enumerate(documents)])[None]
    with torch.inference_mode():
        together = model(packed, segment_ids=segment_ids).last_hidden_state[0]
        for i, document in enumerate(documents):
            alone = model(document[None]).last_hidden_state[0]
            difference = (together[segment_ids[0] == i] - alone).abs().max().item()
            print(f"document {i}: {len(document):5,} tokens, largest difference {difference:.1e}")
            assert difference < 1e-5


if __name__ == "__main__":
    main()
