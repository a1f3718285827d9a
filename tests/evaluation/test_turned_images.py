"""What a model draws on an image that lies on its side is right when it is the ground truth, in every layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import wordmask
from tests.fakes import BrightnessSegmenter


@pytest.mark.parametrize("orientation", range(1, 9))
def test_own_masks_score_one(tmp_path: Path, brightness: BrightnessSegmenter, orientation: int) -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:24, 20:] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    maps = tmp_path / "maps"
    for name in ("images", "labels"):
        (maps / name).mkdir(parents=True)
    photo = maps / "images" / "a.png"
    Image.fromarray(pixels).save(photo, exif=exif)

    result = brightness.segment(photo, ["bright"])
    mask = Image.fromarray(result["bright"].mask)
    mask.save(tmp_path / "m.png")
    mask.convert("L").point(lambda value: value // 255).save(maps / "labels" / "a.png")
    (maps / "classes.json").write_text('{"1": "bright"}')
    content = result.to_coco()
    content["images"][0]["file_name"] = "a.png"
    (tmp_path / "own.json").write_text(json.dumps(content))
    (tmp_path / "pairs.csv").write_text("image,mask,phrase\nmaps/images/a.png,m.png,bright\n")

    for data, images in ((tmp_path / "pairs.csv", None), (maps, None), (tmp_path / "own.json", maps / "images")):
        assert wordmask.evaluate(brightness, data, images=images).scores["miou"].value == 1
