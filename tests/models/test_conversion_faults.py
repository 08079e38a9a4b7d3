"""What cannot be converted is refused with its reason, and nothing is ever half-written."""

import json

import pytest
import torch

import longspan
from longspan.models.conversion import converting
from tests.models.conversion_cases import convert, make_source


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "model type 'gpt2'.* Possible: roberta, xlm-roberta, camembert, bert, electra"),
        ({"model_type": "deberta-v2"}, "'deberta-v2'"),
        ({"model_type": "xlm-roberta-xl"}, "'xlm-roberta-xl'"),
        ({"model_type": None}, "None"),
        ({"is_decoder": True}, "decoder"),
        ({"add_cross_attention": True}, "decoder"),
        ({"position_embedding_type": "relative_key"}, "'relative_key'; only absolute"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantised"),
    ],
)
def test_another_architecture_is_refused(tmp_path, changes, message):
    make_source(tmp_path / "source", "bert")
    change_config(tmp_path / "source", **changes)
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "source")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("to", ["longformer", "nystromformer"])
def test_an_embedding_size_of_its_own_is_refused(tmp_path, to):
    make_source(tmp_path / "source", "electra", embedding_size=16)
    with pytest.raises(ValueError, match="embedding_size 16 and hidden_size 32: a projection joins them"):
        convert(tmp_path / "source", to)


def test_a_longformer_does_not_become_a_nystromformer(tmp_path):
    make_longformer(tmp_path / "source")
    with pytest.raises(ValueError, match="can be made longer"):
        convert(tmp_path / "source", "nystromformer")


def test_a_longformer_without_a_limit_is_left_alone(tmp_path):
    make_longformer(tmp_path / "source", position_period=8)
    with pytest.raises(ValueError, match="position_period 8"):
        convert(tmp_path / "source")


def make_longformer(folder, **changes):
    config = longspan.LongformerConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        attention_window=4, max_position_embeddings=20, **changes,
    )  # fmt: skip
    longspan.LongformerModel(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "bigbird"}, "to must be one of 'longformer', 'nystromformer', got 'bigbird'"),
        ({"max_length": 23}, "max_length must be at least 24"),
        ({"window": -2}, "attention_window must be at least 0"),
        ({"num_landmarks": 8}, "num_landmarks is of Nyströmformers"),
        ({"to": "nystromformer", "window": 8}, "window is of Longformers"),
        ({"to": "nystromformer", "window": None, "num_landmarks": 0}, "num_landmarks must be at least 1"),
    ],
)
def test_an_argument_that_does_not_fit(tmp_path, arguments, message):
    make_source(tmp_path / "source", "roberta")
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "source", **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no directory"):
        convert(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match=r"config\.json"):
        convert(tmp_path / "empty")


def test_missing_and_broken_weights(tmp_path):
    model = make_source(tmp_path / "source", "roberta")
    weights = {name: x for name, x in model.state_dict().items() if "layer.1.output" not in name}
    model.save_pretrained(tmp_path / "lacking", state_dict=weights)
    with pytest.raises(ValueError, match=r"lacks 4 weights of a roberta encoder: encoder\.layer\.1\.output"):
        convert(tmp_path / "lacking")
    file = tmp_path / "source" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"the weights of '.*source' cannot be read"):
        convert(tmp_path / "source")


def test_weights_of_other_shapes(tmp_path):
    make_source(tmp_path / "source", "roberta")
    change_config(tmp_path / "source", intermediate_size=64)
    with pytest.raises(ValueError, match="cannot be read"):
        convert(tmp_path / "source")


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_written_over(tmp_path, kind):
    make_source(tmp_path / "source", "roberta")
    out = tmp_path / "source-longformer"
    if kind == "file":
        out.write_text("mine")
    elif kind == "folder":
        out.mkdir()
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="exists already"):
        convert(tmp_path / "source")
    assert (
        (kind == "file" and out.read_text() == "mine")
        or (kind == "folder" and not any(out.iterdir()))
        or kind == "link"
    )


@pytest.mark.parametrize("fault", [RuntimeError("disk full"), KeyboardInterrupt()])
def test_a_fault_while_writing_leaves_nothing(tmp_path, monkeypatch, fault):
    make_source(tmp_path / "source", "roberta")
    seen = []

    def fail(self, folder):
        seen.append(folder)
        (folder / "config.json").write_text("{")
        raise fault

    monkeypatch.setattr(longspan.LongformerModel, "save_pretrained", fail)
    with pytest.raises(type(fault)):
        convert(tmp_path / "source")
    assert seen and [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_comparison_would_see_a_wrong_weight(tmp_path, monkeypatch):
    make_source(tmp_path / "source", "roberta")
    right = converting.make_model

    def wrong(source, config):
        model, dropped = right(source, config)
        with torch.no_grad():
            model.encoder.layer[0].output.dense.bias[0] += 1
        return model, dropped

    monkeypatch.setattr(converting, "make_model", wrong)
    report, _ = convert(tmp_path / "source")
    assert report.difference > 0.01
