"""A page that shows what thresholds do: heatmaps of a few images, two sliders a class, and the ontology to be saved."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wordmask.annotate.reading import read_image
from wordmask.formats.colours import palette
from wordmask.formats.files import write
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.annotate.ontology import Ontology
    from wordmask.annotate.sources import ImageSource
    from wordmask.contracts import Segmenter

__all__ = ["spread", "write_preview"]

SIDE = 360
"""Longer side of the images on the page, in pixels."""


def spread(images: Sequence[ImageSource], count: int) -> list[ImageSource]:
    """Return `count` images at even distances."""
    chosen = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    return [images[index] for index in dict.fromkeys(chosen.tolist())]


def write_preview(
    images: Sequence[ImageSource], ontology: Ontology, segmenter: Segmenter, path: Path, *, name: str
) -> int:
    """Segment images and write one HTML file that needs no network, and return how many images it shows.

    Args:
        images: Those that cannot be read are left out.
        ontology: Classes, with the thresholds that the sliders start at.
        segmenter: What is asked.
        path: Of the page.
        name: File name under which the page saves the ontology.
    """
    shown, thresholds = [], _Thresholds()
    for source in images:
        loaded = read_image(source)
        if loaded.image is None:
            continue
        classes = []
        for concept in ontology.concepts:
            heat, presence = np.zeros(loaded.image.size, dtype=np.float32), 0.0
            for found in segmenter.segment(loaded.image, concept.prompts, presence_threshold=0.0):
                heat, presence = np.maximum(heat, found.heatmap), max(presence, found.presence)
                thresholds.see(concept.name, found.threshold, found.presence)
            classes.append({"presence": round(presence, 4), "heat": _png(_small(np.rint(heat * 255).astype(np.uint8)))})
        shown.append({"name": source.uri, "pixels": _jpeg(_small(loaded.image.pixels)), "classes": classes})
    colours = palette(max(1, len(ontology.names)))
    model_presence = _default_presence(segmenter, shown, images)
    content = {
        "images": shown,
        "file": name,
        "classes": [
            {
                "name": one.name,
                "colour": colours[place],
                "threshold": thresholds.of(one.name) if one.threshold is None else one.threshold,
                "presence": model_presence if one.presence is None else one.presence,
                "entry": one.to_json(),
            }
            for place, one in enumerate(ontology.concepts)
        ],
    }
    text = json.dumps(content, ensure_ascii=False).replace("</", "<\\/")
    write(path, _PAGE.replace("/*DATA*/", text).encode())
    return len(shown)


class _Thresholds:
    """Median of the thresholds that a method chose for the masks of each class, where the class is likely there."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[float, float]]] = {}

    def see(self, name: str, value: float, presence: float) -> None:
        self._seen.setdefault(name, []).append((value, presence))

    def of(self, name: str) -> float:
        seen = self._seen.get(name, [(0.5, 1.0)])
        least = max(presence for _, presence in seen) / 2
        return round(float(np.median([value for value, presence in seen if presence >= least])), 2)


def _default_presence(segmenter: Segmenter, shown: Sequence[Any], images: Sequence[ImageSource]) -> float:
    """The model's own presence threshold, which an answer tells."""
    readable = {one["name"] for one in shown}
    for source in images:
        if source.uri in readable:
            loaded = read_image(source)
            if loaded.image is not None:
                return float(segmenter.segment(loaded.image, "object").founds[0].presence_threshold)
    return 0.5


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    return resize(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    return _encoded(Image.fromarray(pixels), "JPEG", quality=85)


def _png(pixels: NDArray[np.uint8]) -> str:
    return _encoded(Image.fromarray(pixels), "PNG")


def _encoded(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Preview of annotations</title>
<style>
body{font:15px system-ui,sans-serif;margin:1.5rem;background:#f6f7f8;color:#111418}
table{border-collapse:collapse;margin-bottom:1rem}td,th{padding:.3rem .8rem;text-align:left}
input[type=range]{width:14rem}.chip{display:inline-block;width:1em;height:1em;border-radius:3px;margin-right:.5em}
#grid{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;background:#fff;padding:.5rem;border-radius:6px}
figcaption{font-size:12px;max-width:360px;overflow-wrap:anywhere}button{font:inherit;padding:.4rem 1rem}
</style></head><body>
<h1>Preview of annotations</h1>
<p>Move the sliders, save the ontology in the place of yours, and run the command without <code>--preview</code>.</p>
<table><thead><tr><th>class</th><th>pixel threshold</th><th></th><th>presence threshold</th><th></th><th>images</th>
</tr>
</thead><tbody id="classes"></tbody></table>
<p><button id="save">Save the ontology</button></p><div id="grid"></div>
<script id="data" type="application/json">/*DATA*/</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const rows = document.getElementById("classes"), grid = document.getElementById("grid");
function slider(one, field, row, changed) {
  const input = document.createElement("input"), cell = document.createElement("td");
  const text = document.createElement("td");
  Object.assign(input, {type: "range", min: 0, max: 1, step: 0.01, value: one[field]});
  input.setAttribute("aria-label", one.name + " " + field);
  text.textContent = Number(one[field]).toFixed(2);
  input.addEventListener("input", () => {
    one[field] = Number(input.value); one.entry[field] = one[field];
    text.textContent = one[field].toFixed(2); changed();
  });
  cell.append(input); row.append(cell, text);
}
for (const one of data.classes) {
  const row = document.createElement("tr"), name = document.createElement("td"), chip = document.createElement("span");
  chip.className = "chip"; chip.style.background = `rgb(${one.colour})`;
  name.append(chip, one.name); row.append(name);
  slider(one, "threshold", row, draw); slider(one, "presence", row, draw);
  one.count = document.createElement("td"); row.append(one.count); rows.append(row);
}
const load = (source) => new Promise((done) => { const i = new Image(); i.onload = () => done(i); i.src = source; });
function values(image) {
  const c = new OffscreenCanvas(image.width, image.height).getContext("2d");
  c.drawImage(image, 0, 0);
  return c.getImageData(0, 0, image.width, image.height).data;
}
async function prepare() {
  for (const one of data.images) {
    const image = await load(one.pixels);
    one.base = values(image); one.width = image.width; one.height = image.height;
    for (const part of one.classes) part.values = values(await load(part.heat));
    one.canvas = document.createElement("canvas");
    one.canvas.width = one.width; one.canvas.height = one.height;
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    one.caption = caption; figure.append(one.canvas, caption); grid.append(figure);
  }
  draw();
}
function draw() {
  data.classes.forEach((one) => { one.found = 0; });
  for (const one of data.images) {
    if (!one.canvas) continue;
    const pixels = new Uint8ClampedArray(one.base);
    const shown = [];
    one.classes.forEach((part, index) => {
      const kind = data.classes[index];
      if (part.presence < kind.presence) return;
      kind.found += 1; shown.push(`${kind.name} ${part.presence.toFixed(2)}`);
      const cut = 255 * kind.threshold;
      for (let i = 0; i < pixels.length; i += 4) if (part.values[i] > cut)
        for (let c = 0; c < 3; c++) pixels[i + c] = 0.5 * pixels[i + c] + 0.5 * kind.colour[c];
    });
    one.canvas.getContext("2d").putImageData(new ImageData(pixels, one.width, one.height), 0, 0);
    one.caption.textContent = one.name.split("/").pop() + ": " + (shown.join(", ") || "nothing");
  }
  data.classes.forEach((one) => { one.count.textContent = one.found + " of " + data.images.length; });
}
document.getElementById("save").addEventListener("click", () => {
  const entries = Object.fromEntries(data.classes.map((one) => [one.name, one.entry]));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(entries, null, 2) + "\\n"], {type: "application/json"}));
  link.download = data.file; link.click();
});
prepare();
</script></body></html>
"""
