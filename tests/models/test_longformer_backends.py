"""Models on the backends for a GPU: FlexAttention as it runs on a CPU, the varlen kernel with a dense stand-in."""

import pytest
import torch

import longspan
from longspan.ops.window import BACKENDS, varlen, varlen_kernels
from tests._support import error
from tests.ops.window import kernels


def model(implementation, **fields):
    torch.manual_seed(0)
    config = longspan.LongformerConfig(
        vocab_size=30,
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=32,
        num_hidden_layers=2,
        attention_window=[8, 20],
        max_position_embeddings=300,
        **fields,
    )
    return longspan.LongformerModel._from_config(config, attn_implementation=implementation).eval()


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(150) < torch.tensor([[150], [90]])).long()
    marks = torch.zeros(2, 150, dtype=torch.long)
    marks[:, [0, 40]] = 1
    ids = torch.randint(4, 30, (2, 150), generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "global_attention_mask": marks}


def test_names_are_those_of_the_operation():
    assert longspan.LongformerModel.attn_backends == ("eager", *BACKENDS[1:])


@pytest.mark.parametrize("name", ["flex_attention", "flash_varlen"])
def test_chosen_by_name_everywhere(name, tmp_path):
    first = model("sdpa")
    first.save_pretrained(tmp_path)
    found = longspan.LongformerModel.from_pretrained(tmp_path, attn_implementation=name)
    assert found.config._attn_implementation == name
    config = longspan.LongformerConfig.from_pretrained(tmp_path, attn_implementation=name)
    head = longspan.LongformerForSequenceClassification(config)
    assert head.longformer.encoder.layer[0].attention.self.config._attn_implementation == name
    first.set_attn_implementation(name)
    assert first.config._attn_implementation == name
    first.save_pretrained(tmp_path / "again")  # what a machine can run is no property of a checkpoint
    assert name not in (tmp_path / "again" / "config.json").read_text()


def test_flex_attention_reads_as_sdpa(rows):
    with torch.no_grad():
        found, expected = (model(name)(**rows).last_hidden_state for name in ("flex_attention", "sdpa"))
        valid = rows["attention_mask"] > 0
        assert error(found[valid], expected[valid]) < 1e-5


def test_varlen_trains_as_sdpa(rows, monkeypatch):
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernels.varlen_attn)
    monkeypatch.setattr(varlen_kernels, "_backward_operator", kernels.varlen_attn_backward)
    monkeypatch.setattr(varlen, "check_kernels", lambda query: None)
    valid = rows["attention_mask"] > 0
    found = []
    for name in ("flash_varlen", "sdpa"):
        one = model(name, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0).double().train()
        output = one(**rows).last_hidden_state[valid]
        output.square().sum().backward()
        found.append({"output": output, **{n: p.grad for n, p in one.named_parameters() if p.grad is not None}})
    assert found[0].keys() == found[1].keys()
    for key, expected in found[1].items():
        assert error(found[0][key], expected) < 1e-10, key


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("flex_attention", ValueError, "dropout_p must be 0 with the backend 'flex_attention'.*'sdpa' and"),
        ("flash_varlen", ValueError, "dropout_p must be 0 with the backend 'flash_varlen'.*'sdpa' and"),
    ],
)
def test_attention_dropout_in_training_is_refused(name, kind, message, rows):
    with pytest.raises(kind, match=message):
        model(name).train()(**rows)


def test_varlen_on_a_cpu_is_refused(rows):
    with pytest.raises(NotImplementedError, match="'flash_varlen' runs on CUDA, got tensors on 'cpu'"):
        model("flash_varlen")(**rows)
