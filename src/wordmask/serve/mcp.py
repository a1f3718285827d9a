"""A server of the Model Context Protocol: programs with a language model segment images of this machine by it."""

# No `from __future__ import annotations` here: the SDK reads the annotations of tools.

import base64
import binascii
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask import __version__
from wordmask.errors import ImageError, MissingExtraError, WordmaskError, installing, quote, sentence
from wordmask.images import RgbImage, load_image
from wordmask.serve.answers import status

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from wordmask.contracts import Segmenter
    from wordmask.results import Found, Segmentation

__all__ = ["create_mcp_server"]

MAX_PIXELS = 50_000_000
"""Most pixels of an image."""
MAX_PHRASES = 32
"""Most phrases of a call."""
OVERLAY_SIDE = 1024
"""Longer side of an overlay, at most: it becomes part of a conversation."""
UNSURE = 0.1
"""Distance of a presence from its threshold below which it is `unsure`."""


def create_mcp_server(segmenter: "Segmenter", *, roots: Sequence[str | os.PathLike[str]] = ()) -> "MCPServer":
    """Return a server with the tools `segment` and `explain`.

    Args:
        segmenter: What `wordmask.load` returned.
        roots: Folders that images are read from; () allows every file that the process may read.

    Raises:
        MissingExtraError: If the SDK is not installed.
    """
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver import Image
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError as error:
        raise MissingExtraError(sentence("no MCP SDK", "the extra mcp", installing("mcp"))) from error
    allowed = [Path(os.path.realpath(root)) for root in roots]
    server: Any = MCPServer(
        "wordmask", version=__version__, log_level="WARNING",
        instructions="Find what phrases name in images: counts, boxes, areas, and an overlay to look at.",
    )  # fmt: skip

    def answered(image: str, phrases: list[str], threshold: float | None) -> "Segmentation":
        try:
            if not 1 <= len(phrases) <= MAX_PHRASES:
                raise ImageError(sentence(f"{len(phrases)} phrases", f"1 to {MAX_PHRASES}", "split the call"))
            return segmenter.segment(read_image(image, allowed), phrases, threshold=threshold)
        except WordmaskError as error:
            raise ToolError(str(error)) from None

    @server.tool(title="Segment an image", structured_output=False)  # type: ignore[untyped-decorator,unused-ignore]
    def segment(image: str, phrases: list[str], threshold: float | None = None, overlay: bool = True) -> list[Any]:
        """Find what phrases name in an image.

        Args:
            image: Path of an image on this machine, or the bytes of an image file in base64 (or as a data: address).
            phrases: What to find, each a word or a short phrase such as "left eye".
            threshold: Probability above which a pixel belongs to a mask; leave it out for the model's own.
            overlay: Whether an image with the masks drawn on it comes back, too.

        Returns:
            For each phrase its status (present, absent, unsure), presence, and its objects with box (x, y, width,
            height in pixels), area in pixels and score; then the overlay.
        """
        result = answered(image, phrases, threshold)
        height, width = result.size
        found = {"model": result.model, "width": width, "height": height, "results": [_facts(one) for one in result]}
        content: list[Any] = [json.dumps(found, ensure_ascii=False)]
        return [*content, Image(data=_overlay(result), format="jpeg")] if overlay else content

    @server.tool(title="Explain a result", structured_output=False)  # type: ignore[untyped-decorator,unused-ignore]
    def explain(image: str, phrase: str) -> str:
        """Say in words why a phrase was found in an image, or was not: presence, thresholds, scored candidates.

        Args:
            image: Path of an image on this machine, or the bytes of an image file in base64.
            phrase: What was asked for.
        """
        return answered(image, [phrase], None)[0].explain()

    made: MCPServer = server
    return made


def read_image(image: str, roots: Sequence[Path]) -> RgbImage:
    """Read an image from a path or from base64.

    Args:
        image: One of the two.
        roots: Folders that paths must lead into, links followed; () allows all.

    Raises:
        ImageError: If it is neither, cannot be read, or lies elsewhere.
    """
    content = _decoded(image)
    if content is not None:
        return load_image(content, max_pixels=MAX_PIXELS)
    path = Path(os.path.realpath(os.path.expanduser(image)))
    if roots and not image.startswith("sample:") and not any(path.is_relative_to(root) for root in roots):
        got = f"the path {quote(image)}, outside of the folders that were allowed"
        raise ImageError(sentence(got, "a file in one of them", "start wordmask mcp with --root FOLDER"))
    return load_image(image if image.startswith("sample:") else path, max_pixels=MAX_PIXELS)


def _decoded(image: str) -> bytes | None:
    """Return the bytes of base64; None for anything that may be a path."""
    text = image.partition(",")[2] if image.startswith("data:") else image
    if len(text) < 64 and not image.startswith("data:"):
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _facts(found: "Found") -> dict[str, Any]:
    objects = [
        {
            "box": [round(x0), round(y0), round(x1 - x0), round(y1 - y0)],
            "area": instance.area,
            "score": round(instance.score, 3),
        }
        for instance in found.instances
        for x0, y0, x1, y1 in [instance.box]
    ]
    return {
        "phrase": found.name,
        "status": status(found, UNSURE),
        "presence": round(found.presence, 3),
        "count": len(objects),
        "area": found.area,
        "objects": objects,
    }


def _overlay(result: "Segmentation") -> bytes:
    """Return JPEG of an overlay, small enough for a conversation."""
    drawn = result.overlay()
    drawn.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE))
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
