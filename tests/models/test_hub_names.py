"""A name that is no folder and no repository is refused at once, and the message thinks of the folder."""

from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

from longspan.cli.charlm import _load as load_charlm
from longspan.models.conversion.source import read_fields
from longspan.models.hub import check_name
from longspan.predict.loading import load_tokenizer, read_config

RESPONSE = Mock(headers={}, status_code=404)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """What the hub answers: it counts how often it is asked."""
    asked = []

    def answer(error):
        def ask(url, **keywords):
            asked.append(url)
            raise error

        monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", ask)
        return asked

    monkeypatch.chdir(tmp_path)
    return answer


@pytest.mark.parametrize(
    "look",
    [
        check_name,
        read_config,
        read_fields,
        lambda name: load_tokenizer(name, "longformer"),
        lambda name: load_charlm(name, "cpu"),
    ],
)
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError("Name or service not known"), r"cannot be asked for such a model \(Name or service"),
        (RepositoryNotFoundError("404", response=RESPONSE), "the hub has no model of that name"),
    ],
)
def test_neither_a_folder_nor_on_the_hub(hub, look, error, reason):
    asked = hub(error)
    with pytest.raises(FileNotFoundError, match=f"there is no folder 'nowhere', and .*{reason}"):
        look("nowhere")
    assert len(asked) == 1


def test_what_the_hub_has_is_left_to_the_loader(hub, tmp_path):
    asked = hub(RemoteEntryNotFoundError("404", response=RESPONSE))
    check_name("somebody/model")
    (tmp_path / "model").mkdir()
    check_name("model")
    assert len(asked) == 1


def test_a_path_is_never_asked_for(hub):
    asked = hub(RuntimeError())
    for path in ("./nowhere", "/nowhere", "a/b/c"):
        with pytest.raises(FileNotFoundError, match="is no directory"):
            check_name(path)
    assert not asked
