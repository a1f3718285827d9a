"""Load on `wordmask serve`: many clients at once, every answer compared with the library's.

    python benchmarks/serve_load.py --requests 2000 --clients 32

Prints JSON: wrong answers, errors, 503s, milliseconds, memory; the cost of ten phrases about one image from ten
clients; throughput against the bare model, in seconds and in seconds of CPU time, which other programs disturb less.
Traffic goes to this machine alone.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from serve_process import Service, running

import wordmask
from wordmask.images import load_image
from wordmask.ops.rle import decode, encode_packed

PHRASES = ["face", "hair", "person", "cat", "cup", "eye", "nose", "table", "sky", "hand", "left eye", "dog"]
SAMPLES = ("astronaut", "chelsea", "coffee")


def images(count: int, *, seed: int, kinds: tuple[str, ...] = ("JPEG", "PNG")) -> list[bytes]:
    """Return image files: crops of the samples, scaled to sides of 120 to 1200 pixels."""
    random, files = np.random.default_rng(seed), []
    sources = [Image.fromarray(load_image(f"sample:{name}").pixels) for name in SAMPLES]
    for number in range(count):
        source = sources[number % len(sources)]
        width, height = (int(side * random.uniform(0.5, 1)) for side in source.size)
        left, top = (
            int(random.integers(0, source.width - width + 1)),
            int(random.integers(0, source.height - height + 1)),
        )
        longer = int(random.integers(120, 1200))
        crop = source.crop((left, top, left + width, top + height))
        scale = longer / max(crop.size)
        buffer = io.BytesIO()
        crop.resize((max(1, int(width * scale)), max(1, int(height * scale)))).save(buffer, str(random.choice(kinds)))
        files.append(buffer.getvalue())
    return files


def body(content: bytes, phrases: list[str]) -> dict[str, Any]:
    return {"image": base64.b64encode(content).decode(), "prompts": phrases}


class Compared:
    """Answers against the library's.

    Args:
        segmenter: What is asked.
        files: Images.
    """

    def __init__(self, segmenter: Any, files: list[bytes]) -> None:
        self.expected = [{f.name: f for f in segmenter.segment(content, PHRASES)} for content in files]
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    def check(self, image: int, phrases: list[str], answer: dict[str, Any]) -> None:
        """Count an answer as right or wrong, and whether its masks are the same to the last pixel."""
        right = [r["prompt"] for r in answer["results"]] == phrases
        same = True
        for result in answer["results"] if right else []:
            found = self.expected[image][result["prompt"]]
            right &= abs(result["presence"] - found.presence) < 1e-3 and bool(result["masks"]) == bool(found.area)
            wanted = [encode_packed(one.packed) for one in found.instances]
            if [mask["rle"] for mask in result["masks"]] == wanted:
                continue
            same = False
            if result["masks"] and wanted:
                masks = [decode(mask["rle"]) for mask in result["masks"]]
                union, mine = np.any(masks, axis=0), np.any([one.mask for one in found.instances], axis=0)
                right &= bool((union & mine).sum() >= 0.995 * (union | mine).sum())
        with self.lock:
            self.counts["right" if right else "wrong"] += 1
            self.counts["identical"] += same


def correctness(
    service: Service, compared: Compared, files: list[bytes], *, requests: int, clients: int
) -> dict[str, Any]:
    """Send mixed requests from many clients; 503s are sent again, as the header says."""
    random = np.random.default_rng(1)
    plan = [(int(random.integers(len(files))), list(random.choice(PHRASES, random.integers(1, 4), replace=False)))
            for _ in range(requests)]  # fmt: skip
    plan = [(image, [str(phrase) for phrase in phrases]) for image, phrases in plan]
    errors: Counter[int] = Counter()
    times, memory = [], [service.health()["memory_bytes"]]

    def send(job: tuple[int, list[str]]) -> None:
        start = time.perf_counter()
        for _ in range(100):
            answer = service.post(body(files[job[0]], job[1]))
            if answer.status != 503:
                break
            errors[503] += 1
            time.sleep(min(float(answer.headers["retry-after"]), 2))
        times.append(time.perf_counter() - start)
        if answer.status == 200:
            compared.check(*job, json.loads(answer.body))
        else:
            errors[answer.status] += 1

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for first in range(0, requests, max(1, requests // 8)):
            list(pool.map(send, plan[first : first + max(1, requests // 8)]))
            memory.append(service.health()["memory_bytes"])
    took = time.perf_counter() - start
    return {
        "requests": requests, "clients": clients, **compared.counts, "refused_503": errors.pop(503, 0),
        "errors": dict(errors), "per_second": round(requests / took, 1),
        "p50_ms": round(1000 * float(np.percentile(times, 50))),
        "p95_ms": round(1000 * float(np.percentile(times, 95))),
        "memory_mb": [round(value / 1e6) for value in memory],
    }  # fmt: skip


def together(service: Service, files: list[bytes]) -> dict[str, Any]:
    """Return what ten phrases about one image from ten clients cost, against one request with one and with all ten.

    All three are asked about every image, in turns which comes first; a byte after the file's end keeps the service
    from knowing the image already. Ratios are quartiles over images.
    """
    ways = {"ten clients": [[phrase] for phrase in PHRASES[:10]], "one phrase": [PHRASES[:1]], "all": [PHRASES[:10]]}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    wall: dict[str, list[float]] = {way: [] for way in ways}
    for number, content in enumerate(files):
        for turn in range(len(ways)):
            way = list(ways)[(number + turn) % len(ways)]
            before, start = service.cpu_seconds(), time.perf_counter()
            with ThreadPoolExecutor(10) as pool:
                list(pool.map(lambda asked: service.post(body(content + bytes([turn]), asked)), ways[way]))  # noqa: B023
            wall[way].append(time.perf_counter() - start)
            cpu[way].append(service.cpu_seconds() - before)
    table: dict[str, Any] = {"images": len(files), "one_cpu_ms": round(1000 * float(np.median(cpu["one phrase"])))}
    for way in ("one phrase", "all"):
        for kind, times in (("cpu", cpu), ("seconds", wall)):
            ratios = np.percentile(np.divide(times["ten clients"], times[way]), (25, 50, 75))
            table[f"{kind} against one request of {way}"] = [round(float(ratio), 2) for ratio in ratios]
    return table


def throughput(service: Service, segmenter: Any, files: list[bytes]) -> dict[str, float]:
    """Compare requests about images that nobody has seen with the same calls of the library, in turns."""
    times: Counter[str] = Counter()
    for start in range(0, len(files), 10):
        part = files[start : start + 10]
        before, clock = time.process_time(), time.perf_counter()
        for content in part:
            result = segmenter.segment(content, PHRASES[:3])
            [encode_packed(one.packed) for found in result for one in found.instances]
        times["bare"] += time.perf_counter() - clock  # type: ignore[assignment]
        times["bare_cpu"] += time.process_time() - before  # type: ignore[assignment]
        before, clock = service.cpu_seconds(), time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda content: service.post(body(content, PHRASES[:3])), part))
        times["served"] += time.perf_counter() - clock  # type: ignore[assignment]
        times["served_cpu"] += service.cpu_seconds() - before  # type: ignore[assignment]
    return {
        "images": len(files), "bare_per_second": round(len(files) / times["bare"], 2),
        "served_per_second": round(len(files) / times["served"], 2),
        "ratio": round(times["bare"] / times["served"], 2),
        "cpu_ratio": round(times["bare_cpu"] / times["served_cpu"], 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--model", default="compact")
    arguments = parser.parse_args()
    segmenter = wordmask.load(arguments.model)
    files = images(arguments.images, seed=0)
    compared = Compared(segmenter, files)
    with (
        tempfile.TemporaryDirectory() as folder,
        running("--model", arguments.model, log=Path(folder) / "log") as service,
    ):
        service.post(body(files[0], PHRASES))
        print(json.dumps({"one image from ten": together(service, images(40, seed=1, kinds=("JPEG",)))}), flush=True)
        print(
            json.dumps({"throughput": throughput(service, segmenter, images(30, seed=2, kinds=("JPEG",)))}), flush=True
        )
        found = correctness(service, compared, files, requests=arguments.requests, clients=arguments.clients)
        print(json.dumps({"load": found}), flush=True)
        print(json.dumps({"health": service.health()}))


if __name__ == "__main__":
    main()
