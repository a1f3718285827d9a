"""Malformed inputs, generated from fixed seeds: each is answered, or refused by one sentence; nothing else happens.

    WORDMASK_FUZZ=10000 python -m pytest tests/test_fuzz.py -m "not slow"   # that many of each kind
    WORDMASK_FUZZ_FROM=500 WORDMASK_FUZZ=1 python -m pytest ...      # the one of seed 500

A failure names the kind and the seed.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import wordmask
from tests.images import as_file, png
from tests.methods.checkpoints import write_clipseg
from tests.methods.contract import random_image
from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.contracts import Segmenter
from wordmask.errors import ImageError, PromptError, WordmaskError
from wordmask.images import load_image
from wordmask.methods.compact import load_compact, save_compact
from wordmask.prompts import TextPrompt, fold_phrase

COUNT = int(os.environ.get("WORDMASK_FUZZ", "0"))
START = int(os.environ.get("WORDMASK_FUZZ_FROM", "0"))
Random = np.random.Generator

pytestmark = pytest.mark.filterwarnings("ignore")  # decoders and torch warn about damage; that is not what is tested


def each(usual: int, kind: str, one: Callable[[Random], None]) -> None:
    """Run a case for every seed."""
    for seed in range(START, START + (COUNT or usual)):
        try:
            one(np.random.default_rng(seed))
        except BaseException as error:
            error.add_note(f"{kind}, seed {seed}") if hasattr(error, "add_note") else print(f"{kind}, seed {seed}")
            raise


def pick(random: Random, items: Any) -> Any:
    return items[int(random.integers(len(items)))]


def refused(error: WordmaskError) -> None:
    """Check that an error is one sentence of bounded length."""
    said = str(error)
    assert said.startswith("Got ")
    assert ", expected " in said
    assert "\n" not in said
    assert len(said) < 2000


# --- images ---

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "JPEG2000", "QOI")
MODES = ("RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "I;16", "I", "F", "YCbCr")


def image_file(random: Random) -> bytes:
    """A small image file of any kind and mode that Pillow writes."""
    size = [int(side) for side in random.integers(1, 40, 2)]
    values = random.integers(0, 256, (*size, 4), dtype=np.uint8)
    image = Image.fromarray(values)
    mode = pick(random, MODES)
    image = image.convert("L").convert(mode) if mode in ("I;16", "I", "F") else image.convert("RGB").convert(mode)
    if random.random() < 0.2:
        image.getexif()[0x0112] = int(random.integers(0, 12))
    try:
        return as_file(image, pick(random, KINDS))
    except (OSError, ValueError, KeyError):  # that format has no such mode
        return as_file(image.convert("RGB"))


def damaged(content: bytes, random: Random) -> bytes:
    """Content with bytes changed, cut, inserted or repeated."""
    values = bytearray(content)
    for _ in range(int(random.integers(0, 4))):
        place, length = int(random.integers(len(values) + 1)), int(random.integers(1, 9))
        what = random.integers(5)
        if what == 0:
            values[place : place + length] = random.bytes(length)
        elif what == 1:
            del values[place:]
        elif what == 2:
            values[place:place] = random.bytes(length)
        elif what == 3:
            values[place : place + 4] = pick(random, (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        else:
            values += values[:place]
    return bytes(values)


def array(random: Random) -> Any:
    """An array or tensor, mostly of a shape or type that is none of an image's."""
    shape = tuple(int(side) for side in random.integers(0, 6, int(random.integers(0, 5))))
    if random.random() < 0.5:
        shape = (int(random.integers(1, 9)), int(random.integers(1, 9)), pick(random, (1, 2, 3, 4)))
    dtype = pick(random, ("u1", "u2", ">u2", "i2", "i8", "f2", "f4", "f8", "c8", "?", "O", "U3", "M8[s]", "V4"))
    values = np.zeros(shape, dtype)
    if values.dtype.kind in "uif" and values.size:
        values = (random.random(shape) * pick(random, (1, 1, 255, 60000, 1e300))).astype(dtype)
        if values.dtype.kind == "f" and random.random() < 0.2:
            values.flat[0] = pick(random, (np.nan, np.inf, -np.inf))
    change = random.integers(5)
    if change == 0 and values.dtype.kind in "uif" and values.ndim and values.dtype.isnative:
        return torch.from_numpy(values)
    if change == 1 and values.ndim == 2:
        return values.view(np.matrix)
    return values[::-1] if change == 2 and values.ndim else np.ma.masked_array(values) if change == 3 else values


def claimed(random: Random) -> bytes:
    """A PNG whose header claims any size, depth and colours."""
    sizes = (0, 1, 7, 255, 14_000, 2**31 - 1)
    return png(pick(random, sizes), pick(random, sizes), pick(random, (1, 8, 16, 3)), pick(random, (0, 2, 3, 4, 6, 9)))


def any_image(random: Random) -> Any:
    what = random.integers(8)
    if what == 0:
        return array(random)
    if what == 1:
        return claimed(random)
    if what == 2:
        return random.bytes(int(random.integers(0, 200)))
    if what == 3:
        return pick(
            random, ("", "a\0b", "x" * 5000, "sample:", "sample:x", "http://a", ".", "/dev/zero", None, 5, [], {})
        )
    return damaged(image_file(random), random)


def test_images() -> None:
    def one(random: Random) -> None:
        try:
            image = load_image(any_image(random), max_pixels=10**6)
        except ImageError as error:
            refused(error)
        else:
            assert image.pixels.dtype == np.uint8
            assert image.pixels.ndim == 3
            assert image.pixels.shape[2] == 3
            assert not image.pixels.flags.writeable

    each(500, "image", one)


# --- prompts ---

WORDS = (
    "hair", "left eye", "猫", "é", "🙂", "👩‍🚀", "\u200b", "\ufeff", "\u0301", "\ud800", "\0", "\n", "?", '"', "(", ".",
    "<|endoftext|>", "ﷺ", "\u202e", "İ", "ß", "x" * 300,
)  # fmt: skip


def phrase(random: Random) -> str:
    if random.random() < 0.3:
        points = random.integers(0, 0x110000, int(random.integers(0, 9)))
        return "".join(map(chr, points.tolist()))
    parts = [pick(random, WORDS) for _ in range(int(random.integers(0, 9)))]
    return pick(random, ("", " ", "_", "\u00a0")).join(parts)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    folder = tmp_path_factory.mktemp("tiny")
    save_compact(folder, "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    return load_compact(folder)


def test_prompts(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(random_image(20, 30))

    def one(random: Random) -> None:
        texts = [phrase(random) for _ in range(3)]
        prompts = []
        for text in texts:
            try:
                prompts.append(TextPrompt(text, negatives=(texts[0],) if random.random() < 0.2 else ()))
            except PromptError as error:
                refused(error)
        if not prompts:
            return
        for prompt in prompts:
            assert prompt.text
            assert TextPrompt(prompt.text).text == prompt.text
            assert fold_phrase(prompt.text) == fold_phrase(prompt.name)
            assert not {"Cc", "Zl"} & set(map(unicodedata.category, prompt.text))
        for found in segmenter.segment(encoded, prompts):
            assert 0 <= found.presence <= 1

    each(200, "prompt", one)


# --- model folders ---

VALUES = (None, True, 0, -1, 1, 3, 1e9, 1e400, float("nan"), "", "x", [], [1], {}, {"a": 1}, 10**30, [[]], "clip", -0.5)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    save_compact(root / "compact", "tiny", tiny_network(), TINY, SETTINGS, tiny_tokenizer())
    write_clipseg(root / "clipseg", size=32)
    return root / "compact", root / "clipseg"


def change_value(content: Any, random: Random) -> None:
    """Change, remove or add one value somewhere in a JSON document."""
    while isinstance(content, dict) and content:
        key = pick(random, list(content))
        if isinstance(content[key], dict) and content[key] and random.random() < 0.8:
            content = content[key]
            continue
        if random.random() < 0.25:
            del content[key]
        else:
            content[key] = copy.deepcopy(pick(random, VALUES))  # VALUES stays as it is
        return


def change_file(path: Path, random: Random) -> None:
    """Damage a file of a model: values of JSON, the header of safetensors, or bytes anywhere."""
    content = path.read_bytes()
    if path.suffix == ".json" and random.random() < 0.8:
        document = json.loads(content)
        for _ in range(int(random.integers(1, 3))):
            change_value(document, random)
        path.write_text(json.dumps(document))
    elif path.suffix == ".safetensors" and random.random() < 0.7:
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        change_value(header, random)
        written = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])
    else:
        path.write_bytes(damaged(content, random))


@pytest.mark.parametrize(("place", "usual"), [(0, 120), (1, 40)], ids=["compact", "clipseg"])
def test_model_folders(models: tuple[Path, Path], tmp_path: Path, place: int, usual: int) -> None:
    image = random_image(20, 30)

    def one(random: Random) -> None:
        folder = Path(shutil.copytree(models[place], tmp_path / "model"))
        try:
            change_file(pick(random, sorted(folder.iterdir())), random)
            result = wordmask.load(folder, device="cpu", dtype="float32").segment(image, ["hair", "a cat"])
            assert all(0 <= found.presence <= 1 for found in result)
        except WordmaskError as error:
            refused(error)
        finally:
            shutil.rmtree(folder)

    each(usual, models[place].name, one)


@pytest.mark.slow
def test_many_more_of_each(
    models: tuple[Path, Path], segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 of each kind, unless WORDMASK_FUZZ says how many: a few minutes."""
    monkeypatch.setattr("tests.test_fuzz.COUNT", COUNT or 1000)
    monkeypatch.setattr("tests.test_fuzz.START", START + 10_000)
    test_images()
    test_prompts(segmenter)
    for place in range(2):
        test_model_folders(models, tmp_path, place, 0)
