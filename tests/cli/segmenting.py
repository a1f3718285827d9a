"""`wordmask segment` run in this process, and what it writes."""

from __future__ import annotations

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from wordmask.cli.app import app


def run(*words: str, data: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["segment", *words], input=data)


def read_mask(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image) > 0
