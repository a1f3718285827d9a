"""The tools of `wordmask mcp`, called as a client does."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client
from PIL import Image

from tests.fakes import BrightnessSegmenter
from tests.serve.requests import image_bytes, text
from wordmask.errors import ImageError
from wordmask.serve.mcp import create_mcp_server, read_image


def called(tool: str, **arguments: Any) -> Any:
    async def call() -> Any:
        async with Client(create_mcp_server(BrightnessSegmenter())) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(call())


def test_segment_counts_and_draws(half_bright: Path) -> None:
    answer = called("segment", image=str(half_bright), phrases=["bright", "cat"])

    assert not answer.is_error
    facts, overlay = answer.content
    found = json.loads(facts.text)
    assert (found["width"], found["height"]) == (60, 40)
    assert found["results"] == [
        {
            "phrase": "bright", "status": "present", "presence": 0.97, "count": 1, "area": 1200,
            "objects": [{"box": [30, 0, 30, 40], "area": 1200, "score": 1.0}],
        },
        {"phrase": "cat", "status": "absent", "presence": 0.02, "count": 0, "area": 0, "objects": []},
    ]  # fmt: skip
    assert overlay.mime_type == "image/jpeg"
    assert Image.open(io.BytesIO(base64.b64decode(overlay.data))).width == 60


def test_bytes_and_explanations() -> None:
    for image in (text(image_bytes()), "data:image/png;base64," + text(image_bytes())):
        (facts,) = called("segment", image=image, phrases=["dark"], overlay=False).content
        assert json.loads(facts.text)["results"][0]["area"] == 1200
    answer = called("explain", image=text(image_bytes()), phrase="dark")
    assert answer.content[0].text.startswith("dark: presence 0.97")


def test_errors_are_sentences(half_bright: Path) -> None:
    for arguments in ({"image": "missing.png", "phrases": ["a"]}, {"image": str(half_bright), "phrases": []}):
        answer = called("segment", **arguments)
        assert answer.is_error
        assert "Got " in answer.content[0].text


def test_paths_stay_in_the_folders_that_are_allowed(half_bright: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.png").symlink_to(half_bright)
    assert read_image(str(half_bright), [tmp_path]).size == (40, 60)
    for path in (str(half_bright), str(inside / ".." / "half.png"), str(inside / "link.png"), "/etc/hostname"):
        with pytest.raises(ImageError, match="outside of the folders"):
            read_image(path, [inside])


@pytest.mark.slow
def test_the_command_speaks_over_standard_input_and_output() -> None:
    command = [sys.executable, "-m", "wordmask", "mcp"]
    parameters = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))

    async def call() -> Any:
        async with Client(stdio_client(parameters)) as client:
            tools = await client.list_tools()
            answer = await client.call_tool("segment", {"image": "sample:chelsea", "phrases": ["cat"]})
            return [tool.name for tool in tools.tools], answer

    names, answer = asyncio.run(call())
    assert names == ["segment", "explain"]
    assert json.loads(answer.content[0].text)["results"][0]["status"] == "present"
