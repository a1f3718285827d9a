"""Speed and memory of annotation jobs, against the bare loop over `segment_many`.

    python benchmarks/annotate_speed.py throughput --images FOLDER --count 300   # the embedded weights
    python benchmarks/annotate_speed.py warm --images FOLDER --count 40 --model compact
    python benchmarks/annotate_speed.py warm --images FOLDER --count 6 --model clipseg-size --dtype float32
    python benchmarks/annotate_speed.py many --count 10000                       # memory, and a run without changes

`throughput` alternates the bare loop and the job, on the same images in the same order, in chunks; ratios are of the
sums. `warm` fills an empty feature cache with one phrase and then asks another one; times are in milliseconds an image,
sorted. `clipseg-size` is CLIPSeg with the sizes of CIDAS/clipseg-rd64-refined and random weights. `many` uses a method
that takes microseconds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from fast_method import BrightRegions
from PIL import Image

from wordmask.annotate.inputs import expand_inputs
from wordmask.annotate.job import JobSettings, run_job
from wordmask.annotate.models import JobModel
from wordmask.annotate.ontology import Ontology, parse_prompt
from wordmask.ops.rle import encode_packed


def job(images: list[Path], out: Path, segmenter: Any, phrases: list[str], name: str = "benchmark") -> dict[str, Any]:
    """Run a job and return its times."""
    inputs = expand_inputs([str(path) for path in images])
    wall, cpu = time.perf_counter(), time.process_time()
    ontology = Ontology.of(map(parse_prompt, phrases))
    summary = run_job(inputs, ontology, out, JobModel(name, lambda: segmenter), JobSettings())
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "done": summary.done}


def bare(images: list[Path], segmenter: Any, phrases: list[str]) -> dict[str, float]:
    """Loop over `segment_many` and encode every mask, as whoever wants masks must."""
    wall, cpu = time.perf_counter(), time.process_time()
    for result in segmenter.segment_many([str(path) for path in images], phrases):
        for found in result:
            _ = [encode_packed(one.packed) for one in found.instances]
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def throughput(images: list[Path], folder: Path) -> dict[str, Any]:
    from wordmask import load

    segmenter, phrases = load("compact", device="cpu"), ["person", "hair"]
    bare(images[:8], segmenter, phrases)
    sums = {"bare_wall": 0.0, "bare_cpu": 0.0, "job_wall": 0.0, "job_cpu": 0.0}
    for start in range(0, len(images), 50):
        part = images[start : start + 50]
        first = bare(part, segmenter, phrases)
        second = job(part, folder / f"out-{start}", segmenter, phrases)
        for kind in ("wall", "cpu"):
            sums[f"bare_{kind}"] += first[kind]
            sums[f"job_{kind}"] += second[kind]
    ratios = {f"ratio_{kind}": round(sums[f"bare_{kind}"] / sums[f"job_{kind}"], 3) for kind in ("wall", "cpu")}
    return {name: round(value, 2) for name, value in sums.items()} | ratios


def warm(images: list[Path], folder: Path, model: str, dtype: str, repeats: int) -> dict[str, Any]:
    """Fill an empty cache with one phrase, then ask another one; and so on, each time with new folders."""
    rows: list[dict[str, Any]] = []
    for repeat in range(repeats):
        place = folder / str(repeat)
        segmenter = cached(place / "cache", model, dtype)
        segmenter.segment(images[0], "dog")  # warms the network up, and leaves one image in the cache
        first = job(images[1:], place / "out", segmenter, ["person"])
        second = job(images[1:], place / "out", segmenter, ["hair"])
        assert (segmenter.hits, segmenter.misses) == (len(images) - 1, len(images))
        rows.append({"first": first, "second": second})
    facts: dict[str, Any] = {"dtype": dtype, "repeats": repeats, "load": round(os.getloadavg()[0], 1)}
    for kind in ("wall", "cpu"):
        times = {name: sorted(1000 * row[name][kind] / (len(images) - 1) for row in rows) for name in rows[0]}
        ratios = sorted(row["first"][kind] / row["second"][kind] for row in rows)
        facts |= {f"{name}_{kind}_ms": [round(value, 1) for value in values] for name, values in times.items()}
        facts[f"ratio_{kind}"] = [round(value, 1) for value in ratios]
    return facts


def cached(folder: Path, model: str, dtype: str = "auto") -> Any:
    from wordmask import load
    from wordmask.components.cached_segmenter import CachedSegmenter
    from wordmask.components.feature_cache import FeatureCache

    if model != "clipseg-size":
        return load(model, device="cpu", dtype=dtype, cache=folder)
    from many_prompts import write_checkpoint

    checkpoint = folder.parent / "clipseg"
    write_checkpoint(checkpoint)
    segmenter = load(checkpoint, device="cpu", dtype=dtype)
    shutil.rmtree(checkpoint)
    return CachedSegmenter(segmenter, FeatureCache(folder, limit=10**10), "random")


def many(count: int, folder: Path) -> dict[str, Any]:
    """Annotate many small images, in one process whose memory is read on the way; then again in a fresh process."""
    images = folder / "images"
    images.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 15, (24, 32, 3), dtype=np.uint8)
        pixels[4:12, 4:14] = 200 + number % 50
        Image.fromarray(pixels).save(images / f"{number:06d}.png", compress_level=1)
    memory: list[int] = []

    def report(event: str, facts: dict[str, Any]) -> None:
        if event == "batch" and facts["passed"] % (count // 10) < 8:
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 2**20)

    inputs, ontology = expand_inputs([str(images)]), Ontology.of([parse_prompt("bright")])
    summary = run_job(inputs, ontology, folder / "out", JobModel("fast", BrightRegions), JobSettings(), report)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from annotate_speed import *\n"
        f"inputs = expand_inputs([{str(images)!r}]); ontology = Ontology.of([parse_prompt('bright')])\n"
        f"out = Path({str(folder / 'out')!r})\n"
        "s = run_job(inputs, ontology, out, JobModel('fast', BrightRegions), JobSettings())\n"
        "print(s.known, time.process_time())\n"
    )
    began = time.perf_counter()
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    known, cpu = done.stdout.split()
    return {
        "done": summary.done, "images_per_second": round(summary.per_second, 1), "memory_mb": memory,
        "again_known": int(known), "again_wall": round(time.perf_counter() - began, 2), "again_cpu": float(cpu),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "warm", "many"])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--dtype", default="auto", help="number type of the network, for `warm`")
    parser.add_argument("--repeats", type=int, default=3, help="of `warm`, each with an empty cache")
    options = parser.parse_args()
    images = sorted(options.images.glob("*.jpg"))[: options.count] if options.images else []
    with tempfile.TemporaryDirectory(prefix="annotate-speed-") as place:
        folder = Path(place)
        if options.what == "many":
            facts = many(options.count, folder)
        else:
            import torch

            torch.set_num_threads(1)
            if options.what == "throughput":
                facts = throughput(images, folder)
            else:
                facts = warm(images, folder, options.model, options.dtype, options.repeats)
    print(json.dumps({"what": options.what, "images": len(images) or options.count, "model": options.model} | facts))


if __name__ == "__main__":
    main()
