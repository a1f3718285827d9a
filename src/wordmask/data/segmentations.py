"""Masks of COCO's format: polygons, and run lengths with and without compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.reading import malformed
from wordmask.errors import ImageError, quote
from wordmask.ops import rle
from wordmask.ops.polygons import FARTHEST, fill_as_coco

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["COCO", "decode_segmentation", "require_pixels", "usable_box"]

COCO = "annotations in COCO's instance format"
_FEWEST = 3  # points of a polygon
_REMEDY = "draw its mask, or take the annotation out together with the image"
_SIDES = 4  # numbers of a box


def decode_segmentation(code: Any, size: tuple[int, int], path: str | os.PathLike[str], of: str) -> NDArray[np.bool_]:
    """Return the mask of a segmentation of COCO's format, bool `(H, W)`.

    Args:
        code: A list of polygons, or an object with `size` and `counts`.
        size: `(H, W)` of the image. Polygons are cut at its border, whatever their coordinates.
        path: The file that it comes from, for messages.
        of: What it belongs to, such as "annotation 3".

    Raises:
        DataError: If it is neither, or does not fit the size.
    """
    if isinstance(code, dict):
        return _from_runs(_runs(code, size, path, of), size)
    mask = np.zeros(size, dtype=np.bool_)
    for points in _polygons(code, path, of):
        if len(points) >= _FEWEST:  # fewer enclose nothing; COCO has some
            mask |= fill_as_coco(points, size)
    return mask


def require_pixels(code: Any, size: tuple[int, int], path: str | os.PathLike[str], of: str) -> None:
    """Check that a segmentation has a pixel in its image; most are checked without being drawn.

    Raises:
        DataError: If it has none, or is malformed: see `decode_segmentation`.
    """
    if isinstance(code, dict):
        if not _runs(code, size, path, of)[1::2].any():
            raise malformed(path, COCO, f"no pixel in the mask of {of}", _REMEDY)
        return
    polygons = [points for points in _polygons(code, path, of) if len(points) >= _FEWEST]
    if not code:
        raise malformed(path, COCO, f"no mask in {of}: its segmentation is empty", _REMEDY)
    if not any(_is_plain(points, size) or fill_as_coco(points, size).any() for points in polygons):
        raise malformed(path, COCO, f"no pixel of the image in the polygons of {of}", _REMEDY)


def usable_box(record: dict[str, Any], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Return the box of an annotation, XYXY, cut at the border of its image; None where it has none in it.

    Args:
        record: The annotation: its `bbox` (x, y, width, height), or what encloses its polygons.
        size: `(H, W)` of the image.
    """
    try:
        box = np.asarray(record.get("bbox"), dtype=np.float64)
        if box.shape == (_SIDES,):
            low, high = box[:2], box[:2] + box[2:]
        else:
            points = np.concatenate([np.asarray(one, dtype=np.float64).ravel() for one in record["segmentation"]])
            low, high = points.reshape(-1, 2).min(axis=0), points.reshape(-1, 2).max(axis=0)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    low, high = np.maximum(low, 0), np.minimum(high, (size[1], size[0]))
    if not (low < high).all():  # not-a-number is not below anything
        return None
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


# --- run lengths ---------------------------------------------------------------------------------------------------


def _runs(code: dict[str, Any], size: tuple[int, int], path: str | os.PathLike[str], of: str) -> NDArray[np.int64]:
    """Return run lengths that fill an image of the given size, beginning with that of zeros."""
    if code.get("size") != list(size):
        raise malformed(path, COCO, f"run lengths of size {quote(code.get('size'))} in {of}, not {list(size)}")
    counts = code.get("counts")
    try:
        runs = rle.decompress(counts) if isinstance(counts, str) else _whole(counts)
    except (ImageError, ValueError, TypeError, OverflowError) as error:
        raise malformed(path, COCO, f"damaged run lengths in {of}") from error
    pixels = size[0] * size[1]
    if runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        raise malformed(path, COCO, f"damaged run lengths in {of}")
    return runs


def _whole(counts: Any) -> NDArray[np.int64]:
    values = np.asarray(counts)
    if not isinstance(counts, list) or values.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
        raise ValueError("run lengths are whole numbers")
    return values.astype(np.int64)


def _from_runs(runs: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.bool_]:
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(size[1], size[0]).T)


# --- polygons ------------------------------------------------------------------------------------------------------


def _polygons(code: Any, path: str | os.PathLike[str], of: str) -> list[NDArray[np.float64]]:
    if not isinstance(code, list):
        raise malformed(path, COCO, f"neither polygons nor run lengths as segmentation of {of}")
    polygons = []
    for polygon in code:
        try:
            points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        except OverflowError as error:
            raise malformed(path, COCO, f"a polygon in {of} with a number too large for a coordinate") from error
        except (ValueError, TypeError) as error:
            raise malformed(path, COCO, f"a polygon in {of} that is no list of x, y, x, y, …") from error
        if not np.isfinite(points).all():
            raise malformed(path, COCO, f"a polygon in {of} with numbers that are not finite")
        if points.size and np.abs(points).max() > FARTHEST:
            raise malformed(path, COCO, f"a polygon in {of} with the coordinate {np.abs(points).max():.3g}")
        polygons.append(points)
    return polygons


def _is_plain(points: NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Whether a polygon inside the image is so wide that it must have a pixel."""
    if points.min() < 0 or (points.max(axis=0) > (size[1], size[0])).any():
        return False
    points = points[:-1] if (points[0] == points[-1]).all() else points
    if len(set(map(tuple, points.tolist()))) < len(points):
        return False  # drawn twice, it may cancel itself
    following = np.roll(points, -1, axis=0)
    area = abs(np.sum(points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0])) / 2
    length = np.hypot(*(following - points).T).sum()
    return bool(area > 2 * length + 4)
