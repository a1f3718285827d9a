"""Pickles of strangers: plain data of either Python is read, anything that would run is refused."""

from __future__ import annotations

import collections
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wordmask.data.unpickle import read_pickle
from wordmask.errors import DataError

PLAIN: list[Any] = [
    {"a": 1, 2: "b", (3, 4): [None, True, 1.5, 2**70, -7]},
    "Ünïcödé 猫",
    b"bytes \xff",
    b"",
    {1, 2},
    frozenset({"x"}),
    complex(1, 2),
    [],
]


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "refs(unc).p"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert read_pickle(written(tmp_path, pickle.dumps(PLAIN, protocol=protocol)), "plain data", list) == PLAIN


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x80\x02]U\x05caf\xc3\xa9a.", "café"),  # a text of Python 2, in UTF-8
        (b"\x80\x02]U\x04caf\xe9a.", "café"),  # in Latin-1
        (b"\x80\x02]X\x05\x00\x00\x00caf\xc3\xa9a.", "café"),  # a unicode of Python 2
        (b"(lp0\nS'man'\np1\na.", "man"),  # protocol 0
        (b"\x80\x02]L12L\na.", 12),  # a long
    ],
)
def test_python_2_is_read(tmp_path: Path, content: bytes, expected: object) -> None:
    assert read_pickle(written(tmp_path, content), "plain data", list) == [expected]


class Evil:
    """Runs a command when it is loaded by the standard library."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "was-here"
    content = pickle.dumps([{"ref_id": 1}, Evil(marker)], protocol=protocol)
    with pytest.raises(DataError, match=r"refs\(unc\)\.p', which would load '(posix|nt)\.mkdir'"):
        read_pickle(written(tmp_path, content), "plain data", list)
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__builtin__\ngetattr\n(S'a'\nS'upper'\ntR.",
        b"cwordmask.data.unpickle\n_loaded\n.",
        b"c_codecs\ndecode\n(S'a'\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        pickle.dumps(np.float64(1.5)),
        pickle.dumps(collections.OrderedDict(a=1)),
    ],
    ids=range(7),
)
def test_classes_and_functions_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"which would load '[\w.]+'"):
        read_pickle(written(tmp_path, content), "plain data", list)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02]",
        b"no pickle",
        b"\x80\x63.",
        b"c__builtin__\nbytes\n(I100000000000\ntR.",
        b"c_codecs\nencode\n(S'a'\nS'zip'\ntR.",
        b"c__builtin__\nset\n(I1\ntR.",
        b"Pperson\n.",
        b"h\x05.",
        pickle.dumps({"a": 1}),
    ],
    ids=range(10),
)
def test_damage_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"^Got .*refs\(unc\)\.p.*, expected .*plain data.*: .+\.$"):
        read_pickle(written(tmp_path, content), "plain data", list)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file '.*refs\(unc\)\.p'"):
        read_pickle(tmp_path / "refs(unc).p", "plain data", list)
