"""Whether a name is a model's at all: a directory here, or a repository of the hub."""

from __future__ import annotations

import os

from transformers.utils import cached_file

from .configuration import check_place


def check_name(name: str) -> None:
    """Refuse a name that is neither a directory nor a repository, after a single look at the hub.

    Whatever else is wrong with a repository is for the loader to say. It would try an unreachable hub six times, for
    half a minute, and not think of a directory whose name was mistyped.

    Raises:
        FileNotFoundError: naming it, with what the hub said.
    """
    check_place(name)
    if os.path.isdir(name):
        return
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        if cached_file(name, "config.json", local_files_only=True, _raise_exceptions_for_missing_entries=False):
            return
        get_hf_file_metadata(hf_hub_url(name, "config.json"), token=get_token())
    except (EntryNotFoundError, GatedRepoError):
        return
    except RepositoryNotFoundError:
        reason = "the hub has no model of that name"
    except HfHubHTTPError:
        return
    except Exception as error:  # of a connection they are of many kinds
        reason = f"the hub cannot be asked for such a model ({' '.join(str(error).split())})"
    else:
        return
    raise FileNotFoundError(f"there is no folder {name!r}, and {reason}") from None
