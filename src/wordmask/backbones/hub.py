"""Download checkpoints from a model hub.

Files that the local cache holds at the wanted revision are not downloaded again.
"""

from __future__ import annotations

from pathlib import Path

from wordmask.errors import ModelNotFoundError, OfflineError, quote, sentence

_CONFIGURATION = ["*.json", "*.txt"]


def fetch_checkpoint(repo: str, *, revision: str | None = None) -> Path:
    """Return the local folder of a hub repository's configuration, tokenizer and weights; missing files are downloaded.

    Safetensors are preferred; `pytorch_model.bin` is fetched only where a repository has nothing else.

    Args:
        repo: `owner/name`.
        revision: Branch, tag or commit; None is the repository's default branch.

    Raises:
        ModelNotFoundError: The hub has no such repository or revision, or it is closed to this user.
        OfflineError: The hub cannot be reached and the local cache lacks the files.
    """
    folder = _snapshot(repo, revision, [*_CONFIGURATION, "*.safetensors"])
    if not any(folder.glob("*.safetensors")):
        folder = _snapshot(repo, revision, [*_CONFIGURATION, "pytorch_model.bin"])
    return folder


def is_cached(repo: str, *, revision: str | None = None) -> bool:
    """Whether the local cache holds weights of a repository at a revision (its default branch); asks no network."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(repo, name, revision=revision), str) for name in names)


def is_offline() -> bool:
    """Whether the user forbids downloads (`HF_HUB_OFFLINE`)."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return bool(HF_HUB_OFFLINE)


def _snapshot(repo: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    name = quote(repo) + (f" at revision {quote(revision)}" if revision else "")
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except errors.HFValidationError as error:
        raise ModelNotFoundError(
            sentence(f"the model name {name}", "a hub id of the form 'owner/name'", "correct it or give a local folder")
        ) from error
    except errors.GatedRepoError as error:
        remedy = "accept its conditions on the hub and log in with `hf auth login`, or give a local folder"
        raise ModelNotFoundError(sentence(f"the model {name}", "one that is open to this user", remedy)) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        remedy = "check the spelling, or run `wordmask models` for known ones"
        raise ModelNotFoundError(
            sentence(f"the model {name}", "one that the hub has and this user may see", remedy)
        ) from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, errors.XetDownloadError) as error:
        raise OfflineError(
            sentence(
                f"the model {name}, which is not in the local cache, and no answer from the hub",
                "one or the other",
                "connect to the network (and unset HF_HUB_OFFLINE), copy the model's folder to this machine and give "
                "its path, or load 'compact', the weights in the package",
            )
        ) from error
