"""Features are cached once, found again bit by bit, and never trusted when damaged."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save
from torch import Tensor, nn

from tests.training.inputs import trained_weights, write_small_clipseg, write_table
from wordmask.components import feature_cache
from wordmask.components.feature_cache import CachedFeatures, FeatureCache
from wordmask.errors import DataError, OutputError, TrainingError, WordmaskWarning
from wordmask.formats import files as written
from wordmask.training.data import DataChoice
from wordmask.training.loop import StepReport
from wordmask.training.recipe import with_changes
from wordmask.training.recipes.finetune import finetune
from wordmask.training.run import train

ROOM = 2**30
KEY, OTHER = (hashlib.sha256(word).hexdigest() for word in (b"one", b"other"))


class Encoder:
    """Two random layers that remember how many images they saw at a time."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 8)
        self.seen: list[int] = []

    def __call__(self, pixels: Tensor) -> list[Tensor]:
        self.seen.append(len(pixels))
        tokens = self.first(pixels).flatten(2).transpose(1, 2)
        return [tokens, self.second(tokens)]


def images(count: int, *, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def cached(
    folder: Path, encoder: Callable[[Tensor], Any], fingerprint: str = "f", *, limit: int = ROOM
) -> CachedFeatures:
    return CachedFeatures(encoder, FeatureCache(folder, limit=limit), fingerprint)


def the_file(folder: Path) -> Path:
    (file,) = folder.glob("??/*.safetensors")
    return file


def test_a_hit_and_a_miss_are_the_same_bits_and_the_encoder_rounded_to_float16(tmp_path: Path) -> None:
    encoder, pixels = Encoder(), images(3)
    with torch.no_grad():
        expected = [torch.cat(parts) for parts in zip(*(encoder(image[None]) for image in pixels), strict=True)]
    missed = cached(tmp_path, encoder)(pixels)
    hit = cached(tmp_path, Encoder())(pixels)
    assert [part.shape for part in missed] == [(3, 16, 8), (3, 16, 8)]
    for one, again, exact in zip(missed, hit, expected, strict=True):
        assert one.dtype == again.dtype == torch.float32
        assert not one.requires_grad
        np.testing.assert_array_equal(one.numpy(), exact.numpy().astype(np.float16).astype(np.float32))
        np.testing.assert_array_equal(one.numpy(), again.numpy())
        assert not torch.equal(one, exact)


def test_only_missing_images_pass_the_encoder_each_alone(tmp_path: Path) -> None:
    encoder, pixels = Encoder(), images(4)
    call = cached(tmp_path, encoder)
    call(pixels[1:3])
    assert encoder.seen == [1, 1]
    all_of_them = call(pixels)
    assert encoder.seen == [1, 1, 1, 1]
    for together, alone in zip(all_of_them, call(pixels[2:3]), strict=True):
        assert torch.equal(together[2:3], alone)
    assert encoder.seen == [1, 1, 1, 1]


def test_a_image_that_comes_twice_is_computed_once(tmp_path: Path) -> None:
    encoder, pixels = Encoder(), images(1)
    first, _ = cached(tmp_path, encoder)(torch.cat([pixels, pixels]))
    assert encoder.seen == [1]
    assert torch.equal(first[0], first[1])


def test_values_do_not_depend_on_a_cache_that_is_full(tmp_path: Path) -> None:
    pixels = images(3)
    with pytest.warns(UserWarning, match="full"):
        full = cached(tmp_path / "small", Encoder(), limit=1)(pixels)
    for one, other in zip(full, cached(tmp_path / "large", Encoder())(pixels), strict=True):
        assert torch.equal(one, other)


def test_any_other_bit_is_another_key(tmp_path: Path) -> None:
    call, pixels = cached(tmp_path, Encoder()), images(1)
    changed = pixels.clone()
    changed[0, 2, 15, 15] = float(np.nextafter(np.float32(pixels[0, 2, 15, 15]), np.float32(2)))
    (key,) = call.keys(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        (other_precision,) = call.keys(pixels)
    others = [
        *call.keys(changed),
        *call.keys(pixels.view(1, 3, 8, 32)),
        *cached(tmp_path, Encoder(), "g").keys(pixels),
        other_precision,
    ]
    assert len({key, *others}) == 5
    assert call.keys(pixels.clone()) == [key]
    assert len(key) == 64
    assert call.keys(torch.cat([changed, pixels]))[1] == key


def test_files_are_float16_in_folders_of_two_letters(tmp_path: Path) -> None:
    cache, values = FeatureCache(tmp_path, limit=ROOM), (torch.tensor([[1.0, 2.0005]]), torch.tensor([-3.0]))
    cache.put(KEY, values)
    assert the_file(tmp_path) == tmp_path / KEY[:2] / f"{KEY[2:]}.safetensors"
    read = load_file(the_file(tmp_path))
    assert read["0"].dtype == np.float16
    assert read["0"].tolist() == [[1.0, 2.0]]
    assert read["1"].tolist() == [-3.0]
    found = cache.get(KEY)
    assert found is not None
    assert [part.tolist() for part in found] == [[[1.0, 2.0]], [-3.0]]
    assert cache.get(OTHER) is None


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[:-1],
    "cut in its header": lambda content: content[:20],
    "too long": lambda content: content + b"\0",
    "one bit in its last value": lambda content: flip(content, len(content) - 1),
    "one bit in its first value": lambda content: flip(content, 8 + int.from_bytes(content[:8], "little")),
    "another shape of as many values": lambda content: content.replace(b"[16,8]", b"[8,16]"),
    "zeros": lambda content: bytes(len(content)),
    "a header that is a list": lambda content: (2).to_bytes(8, "little") + b"[]",
}


@pytest.mark.parametrize("kind", sorted(DAMAGE))
def test_a_damaged_file_is_computed_again_and_replaced(tmp_path: Path, kind: str) -> None:
    pixels = images(1)
    expected = cached(tmp_path, Encoder())(pixels)
    file = the_file(tmp_path)
    sound = file.read_bytes()
    file.write_bytes(DAMAGE[kind](sound))
    assert file.read_bytes() != sound
    encoder = Encoder()
    again = cached(tmp_path, encoder)(pixels)
    assert encoder.seen == [1]
    assert all(torch.equal(one, other) for one, other in zip(expected, again, strict=True))
    assert file.read_bytes() == sound


@pytest.mark.parametrize("swapped", [False, True])
def test_rows_that_change_places_are_noticed(tmp_path: Path, swapped: bool) -> None:
    cache = FeatureCache(tmp_path, limit=ROOM)
    cache.put(KEY, [torch.arange(8192.0)])
    file = the_file(tmp_path)
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    rows = [content[start + first : start + first + 4096] for first in (0, 4096)]
    file.write_bytes(content[:start] + b"".join(rows[::-1] if swapped else rows) + content[start + 8192 :])
    assert (cache.get(KEY) is None) is swapped


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, limit=ROOM)
    half = torch.arange(6, dtype=torch.float16).view(2, 3)
    value = zlib.crc32(b"torch.float16 (2, 3)", zlib.crc32(KEY.encode()))
    about = {"crc32": f"{zlib.crc32(half.numpy().tobytes(), value):08x}"}
    path = tmp_path / KEY[:2] / f"{KEY[2:]}.safetensors"
    path.parent.mkdir()
    path.write_bytes(save({"0": half}, metadata=about))
    found = cache.get(KEY)
    assert found is not None
    assert torch.equal(found[0], half)


def test_a_file_under_another_name_is_not_trusted(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, limit=ROOM)
    cache.put(KEY, [torch.ones(3)])
    path = tmp_path / OTHER[:2] / f"{OTHER[2:]}.safetensors"
    path.parent.mkdir()
    os.replace(the_file(tmp_path), path)
    assert cache.get(OTHER) is None


def test_a_full_cache_takes_no_more_and_says_so_once(tmp_path: Path) -> None:
    each = one_file(tmp_path / "trial")
    cache = FeatureCache(tmp_path / "cache", limit=3 * each)
    keys = [hashlib.sha256(bytes([number])).hexdigest() for number in range(5)]
    for key in keys[:3]:
        cache.put(key, [torch.ones(100)])
    assert not cache.full
    with pytest.warns(
        WordmaskWarning, match=r"^Got the feature cache '.*', which is full \(0\.0 GiB\), expected space"
    ):
        cache.put(keys[3], [torch.ones(100)])
    assert cache.full
    cache.put(keys[4], [torch.ones(100)])  # a second warning would be an error
    assert [cache.get(key) is not None for key in keys] == [True] * 3 + [False] * 2
    assert cache.size == 3 * each == bytes_in(tmp_path / "cache")
    cache.put(keys[0], [torch.zeros(100)])  # as large as what it replaces
    found = cache.get(keys[0])
    assert found is not None
    assert not found[0].any()


def one_file(folder: Path) -> int:
    FeatureCache(folder, limit=ROOM).put(KEY, [torch.ones(100)])
    return the_file(folder).stat().st_size


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_size_is_counted_at_opening_and_what_others_add_counts_before_the_limit(tmp_path: Path) -> None:
    each = one_file(tmp_path)
    first, second = (FeatureCache(tmp_path, limit=11 * each) for _ in range(2))
    assert first.size == each
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(20):
            for writer in (first, second):
                writer.put(hashlib.sha256(f"{writer is first} {number}".encode()).hexdigest(), [torch.ones(100)])
    assert bytes_in(tmp_path) == 11 * each
    assert first.full
    assert second.full


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    each = one_file(tmp_path)
    old, new, foreign = (
        tmp_path / KEY[:2] / ".wordmask-0.part",
        tmp_path / KEY[:2] / ".b.part",
        tmp_path / "notes.txt",
    )
    for path in (old, new, foreign):
        path.write_bytes(b"x" * 10)
    os.utime(old, (time.time() - 7200,) * 2)
    cache = FeatureCache(tmp_path, limit=ROOM)
    assert [path.exists() for path in (old, new, foreign)] == [False, True, True]
    assert cache.size == each + 10


WRITER = """
import sys, torch
from pathlib import Path
from wordmask.components import feature_cache
from wordmask.components.feature_cache import FeatureCache
cache = FeatureCache(Path(sys.argv[1]), limit=2**30)
values = [torch.arange(20_000.0) % 2048 / 16] * 3
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    cache.put(sys.argv[2], values)
    found = cache.get(sys.argv[2])
    assert found is not None and all(torch.equal(a.float(), b) for a, b in zip(found, values, strict=True))
"""


def test_two_processes_may_write_the_same_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), KEY]
    two = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in two:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in two:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in two:
        one.communicate()
        assert one.returncode == 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{KEY[2:]}.safetensors"]
    found = FeatureCache(tmp_path, limit=ROOM).get(KEY)
    assert found is not None
    assert torch.equal(found[2].float(), torch.arange(20_000.0) % 2048 / 16)


def test_values_beyond_float16_stop_the_training(tmp_path: Path) -> None:
    call = cached(tmp_path, lambda pixels: [pixels.flatten(1) * 0 + 70_000])
    with pytest.raises(TrainingError, match=r"^Got outputs .* float16, expected numbers up to 65504: train without"):
        call(images(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_cache_without_room_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(DataError, match=f"^Got a feature cache of '{limit}' bytes, expected a positive number"):
        FeatureCache(tmp_path, limit=limit)


def test_a_cache_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(OutputError, match=r"^Got the feature cache '.*', which cannot be written to \(File exists\)"):
        FeatureCache(tmp_path / "cache", limit=ROOM)


def test_a_folder_without_rights_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache.os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OutputError, match=r"which cannot be written to \(no right to write there\), expected a folder"):
        FeatureCache(tmp_path, limit=ROOM)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    call = cached(tmp_path, Encoder())
    monkeypatch.setattr(written.os, "replace", refuse)
    with pytest.raises(OutputError, match=r"\(No space left on device\).*check the folder"):
        call(images(1))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


class Interrupted(Exception):
    """What stops a run in the middle."""


def interrupt(report: StepReport) -> None:
    if report.step == 4:
        raise Interrupted


def test_a_run_gives_the_same_weights_whatever_the_cache_holds_and_wherever_it_stopped(tmp_path: Path) -> None:
    model, table = write_small_clipseg(tmp_path / "model"), write_table(tmp_path / "my", 5)
    changes = {"steps": 6, "batch": 4, "size": 32, "valid_every": 0, "save_every": 3, "dropout": 0.1, "variants": 2}
    recipe = with_changes(finetune(), changes)
    cache = tmp_path / "cache"

    def run(name: str, **options: Any) -> dict[str, Tensor]:
        train(
            recipe,
            DataChoice(table),
            tmp_path / name,
            model=model,
            device="cpu",
            probe=None,
            feature_cache=cache,
            **options,
        )
        return trained_weights(tmp_path / name)

    expected = run("empty")
    files = sorted(cache.rglob("*.safetensors"))
    assert len(files) == 10  # 5 images, 2 variants
    for number, file in enumerate(files):
        if number % 3 == 0:
            file.unlink()
        elif number % 3 == 1:
            file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Interrupted):
        run("stopped", watch=interrupt)
    for file in files[::2]:
        file.unlink(missing_ok=True)
    with pytest.warns(UserWarning, match="full"):
        again = run("stopped", feature_cache_limit=1)
    assert expected.keys() == again.keys()
    for name, weight in expected.items():
        assert torch.equal(weight, again[name]), name
