"""Files appear whole or not at all, under safe names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wordmask.errors import OutputError
from wordmask.formats.files import file_names, write


def test_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.bin"
    assert write(path, b"one") == path
    assert path.read_bytes() == b"one"
    write(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.bin"]


def test_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"a\.bin.*No space left on device.*free space"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*expected a file to write.*result\.png"):
        write(tmp_path, b"x")


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot be written"):
        write(tmp_path / "file" / "a.png", b"x")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"cannot be written"):
        write(tmp_path / name, b"x")


def test_read_only_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # a superuser may write anything
    with pytest.raises(OutputError, match=r"read-only"):
        write(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be written here")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match=r"Permission denied"):
        write(tmp_path / "a.bin", b"x")


@pytest.mark.skipif(os.name == "nt", reason="no symbolic links")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="no device files")
def test_a_device_is_written_to_not_replaced() -> None:
    write("/dev/null", b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("left eye", "left-eye.png"),
        ("../../etc/passwd", "etc-passwd.png"),
        ("C:\\a*b?<>|\"'", "C-a-b.png"),
        (".hidden", "hidden.png"),
        ("l'œil gauche", "l-œil-gauche.png"),
        ("猫", "猫.png"),
        ("🙂", "prompt-1.png"),
        ("...", "prompt-1.png"),
        ("con", "con-.png"),
        ("LPT1", "LPT1-.png"),
        ("a" * 500, "a" * 60 + ".png"),
        ("cafe\u0301", "café.png"),
        ("a_b  c\n", "a-b-c.png"),
    ],
)
def test_names_are_safe(name: str, expected: str) -> None:
    assert file_names([name], suffix=".png") == (expected,)


def test_names_are_distinct_and_repeatable() -> None:
    names = ["eye", "Eye", "eye-2", "eye", "🙂", "prompt 5", "🙁", "x" * 70, "x" * 80]
    chosen = file_names(names, suffix=".png")
    assert chosen[:4] == ("eye.png", "Eye-2.png", "eye-2-2.png", "eye-3.png")
    assert len({name.casefold() for name in chosen}) == len(names)
    assert chosen == file_names(names, suffix=".png")
    assert all(len(name.encode()) <= 255 - 120 for name in file_names(["𠀀" * 300] * 3, suffix=".png"))
