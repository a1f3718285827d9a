"""Label Studio's run lengths of brush masks (the format of thi.ng's rle-pack), in NumPy.

A stream of bits, the most significant first: 32 bits number of values, 5 bits word size minus 1, four times 4 bits
size minus 1; then runs: 1 bit whether a value repeats, 2 bits which size, the length minus 1 in that many bits, and
one value, or as many as the length says. The values are RGBA of the whole image, row by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wordmask.errors import DataError, sentence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.masks import PackedMask

__all__ = ["decode_brush", "encode_brush"]

_SIZES = (3, 4, 8, 16)
_CHANNELS = 4
_LONGEST = 1 << 16


def encode_brush(mask: PackedMask) -> list[int]:
    """Return the bytes of a mask as numbers from 0 to 255; set pixels are 255 in all four channels."""
    height, width = mask.size
    total = height * width * _CHANNELS
    head = f"{total:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in _SIZES)
    bits = head + "".join(_run(length, value) for value, length in _runs(mask))
    data = np.frombuffer(bits.encode(), dtype=np.uint8) - ord("0")
    return [int(value) for value in np.packbits(data)]


def _runs(mask: PackedMask) -> list[tuple[int, int]]:
    """Return values and lengths of the runs of an image's channels, row by row."""
    height, width = mask.size
    x0, y0, x1, _ = mask.window
    crop = mask.crop()
    padded = np.zeros((crop.shape[0], x1 - x0 + 2), dtype=np.int8)
    padded[:, 1:-1] = crop
    row, column = np.nonzero(np.diff(padded, axis=1))
    edges = (row + y0) * width + column + x0  # where the value changes; ends of whole rows may meet the next start
    same = np.flatnonzero(edges[1:] == edges[:-1])
    edges = np.delete(edges, np.concatenate([same, same + 1]))
    lengths = np.diff(edges, prepend=0, append=height * width) * _CHANNELS
    return [(255 * (index % 2), int(length)) for index, length in enumerate(lengths) if length]


def _run(length: int, value: int) -> str:
    text = []
    while length:
        part = min(length, _LONGEST)
        which = next(index for index, size in enumerate(_SIZES) if part <= 1 << size)
        text.append(f"1{which:02b}{part - 1:0{_SIZES[which]}b}{value:08b}")
        length -= part
    return "".join(text)


def decode_brush(data: list[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return bool `(H, W)`: whether the last channel of a pixel is at least 128.

    Args:
        data: Bytes as numbers.
        size: `(H, W)` that the task gives.

    Raises:
        DataError: If the stream is damaged, or of another size.
    """
    bits = np.unpackbits(np.array(data, dtype=np.uint8)).tobytes().translate(bytes([48, 49]) + bytes(254)).decode()
    total, word = int(bits[:32], 2), int(bits[32:37], 2) + 1
    sizes = [int(bits[37 + 4 * place : 41 + 4 * place], 2) + 1 for place in range(4)]
    if total != size[0] * size[1] * _CHANNELS:
        got = f"brush labels of {total} values for an image of {size[1]} x {size[0]} pixels"
        raise DataError(sentence(got, f"{size[0] * size[1] * _CHANNELS}", "export the task again"))
    values = np.empty(total, dtype=np.uint8)
    place, at = 53, 0
    try:
        while at < total:
            repeats, width = bits[place] == "1", sizes[int(bits[place + 1 : place + 3], 2)]
            place += 3
            length = int(bits[place : place + width], 2) + 1
            place += width
            if repeats:
                values[at : at + length] = int(bits[place : place + word], 2)
                place += word
            else:
                for offset in range(length):
                    values[at + offset] = int(bits[place : place + word], 2)
                    place += word
            at += length
    except (ValueError, IndexError) as error:
        raise DataError(sentence("damaged brush labels", "a whole stream", "export the task again")) from error
    return np.ascontiguousarray(values.reshape(*size, _CHANNELS)[..., -1] >= 128)
