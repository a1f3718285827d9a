"""Views of whole images on which a network that has learned them by heart is about as unsure as on new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.training.compact.presence_rows import AskedImage

__all__ = ["another_view"]


def another_view(asked: AskedImage, *, mirror: bool, rng: np.random.Generator) -> AskedImage:
    """Return the image turned, stretched and coloured differently; what is known about names stays true of nearly all.

    Args:
        asked: An image and what is known about names on it.
        mirror: Whether half of the images are mirrored; not where names have a side.
        rng: Of the draws.
    """
    pixels = asked.pixels[:, ::-1] if mirror and rng.random() < 0.5 else asked.pixels
    return asked._replace(pixels=_degraded(_coloured(_warped(np.ascontiguousarray(pixels), rng), rng), rng))


def _warped(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn by up to 12 degrees, scale, stretch, shear and shift by up to 6 %; the border is reflected."""
    height, width = pixels.shape[:2]
    angle, scale, stretch = np.deg2rad(rng.uniform(-12, 12)), rng.uniform(0.8, 1.12), np.exp(rng.uniform(-0.2, 0.2))
    turn = np.array([[np.cos(angle) * stretch, -np.sin(angle)], [np.sin(angle), np.cos(angle) / stretch]]) * scale
    turn[0, 1] += rng.uniform(-0.12, 0.12)
    centre = np.array([width / 2, height / 2])
    shift = centre - turn @ centre + rng.uniform(-0.06, 0.06, 2) * [width, height]
    matrix = np.concatenate([turn, shift[:, None]], axis=1)
    warped = cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, dtype=np.uint8)


def _coloured(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw gamma, contrast, the brightness of each channel, and saturation, down to grey."""
    values = (pixels.astype(np.float32) / 255) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    mean = values.mean((0, 1))
    values = (values - mean) * np.float32(rng.uniform(0.6, 1.4)) + mean * rng.uniform(0.7, 1.3, 3).astype(np.float32)
    grey = values.mean(2, keepdims=True)
    values = grey + (values - grey) * np.float32(rng.uniform(0.0, 1.7))
    return np.asarray(values.clip(0, 1) * 255, dtype=np.uint8)


def _degraded(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, add noise and compress, each with probability 0.4."""
    if rng.random() < 0.4:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.6)), dtype=np.uint8)
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(4, 16), pixels.shape)
        pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 60))])[1]
        pixels = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), dtype=np.uint8)
    return pixels
