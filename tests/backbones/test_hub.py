"""The hub's adapter against a cache made by hand: the hub itself is never asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordmask.backbones.hub import fetch_checkpoint, is_cached
from wordmask.errors import ModelNotFoundError, OfflineError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def put(cache: Path, repo: str, *names: str) -> Path:
    """Lay files into the cache as the hub's own client does."""
    home = cache / f"models--{repo.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in names:
        (snapshot / name).write_text("{}", encoding="utf-8")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return snapshot


def test_a_cached_checkpoint_needs_no_network(cache: Path) -> None:
    snapshot = put(cache, "owner/name", "config.json", "model.safetensors")

    assert fetch_checkpoint("owner/name") == snapshot
    assert fetch_checkpoint("owner/name", revision=COMMIT) == snapshot
    assert is_cached("owner/name")


def test_an_old_pickle_serves_where_there_is_nothing_else(cache: Path) -> None:
    snapshot = put(cache, "owner/old", "config.json", "pytorch_model.bin")

    assert fetch_checkpoint("owner/old") == snapshot
    assert is_cached("owner/old")


def test_a_configuration_alone_is_no_cached_checkpoint(cache: Path) -> None:
    put(cache, "owner/half", "config.json")

    assert not is_cached("owner/half")
    assert not is_cached("owner/none")


@pytest.mark.parametrize("revision", [None, "v1"])
def test_no_network_is_one_sentence_with_the_ways_out(cache: Path, revision: str | None) -> None:
    with pytest.raises(OfflineError) as caught:
        fetch_checkpoint("owner/name", revision=revision)

    message = str(caught.value)
    assert message.startswith("Got the model 'owner/name'")
    assert ("'v1'" in message) == (revision is not None)
    for remedy in ("HF_HUB_OFFLINE", "copy the model's folder", "'compact'"):
        assert remedy in message


def test_an_impossible_name_is_said_to_be_one(cache: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="'owner/name'"):
        fetch_checkpoint("not/a/hub/id")


def test_a_repository_that_is_not_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    def absent(*_: object, **__: object) -> None:
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", absent)
    with pytest.raises(ModelNotFoundError, match="wordmask models") as caught:
        fetch_checkpoint("owner/nmae")
    assert not isinstance(caught.value, OfflineError)
