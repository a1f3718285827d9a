"""Kill annotation jobs at random moments (SIGKILL), continue them, and compare with runs that were never interrupted.

    python benchmarks/annotate_kills.py --kills 1000                    # a fast method: a few minutes
    python benchmarks/annotate_kills.py --kills 60 --model compact      # the embedded weights
    python benchmarks/annotate_kills.py --kills 300 --shards 3          # shards at once, merged, both killed

A job annotates images and then writes every format. It runs in a child process, which is killed after a random time and
started again until it ends by itself; then a new job begins in a new folder, until there were as many kills as asked
for. Of every finished job, the journal's contents and every exported file are compared with those of one run without
kills, byte by byte.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # no threads before a fork
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from fast_method import BrightRegions
from PIL import Image

from wordmask.annotate.exporting import FORMATS, export_all
from wordmask.annotate.exports.base import ExportOptions
from wordmask.annotate.inputs import expand_inputs
from wordmask.annotate.job import JobSettings, journal_path, run_job
from wordmask.annotate.journal import Journal
from wordmask.annotate.labelled import LabelledSet
from wordmask.annotate.merge import merge_shards
from wordmask.annotate.models import JobModel, fingerprint_of
from wordmask.annotate.ontology import Ontology, parse_prompt
from wordmask.errors import OutputError


def write_images(folder: Path, count: int) -> None:
    """Write images with bright rectangles, a few copies and a few that cannot be read."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 15, (24, 32, 3), dtype=np.uint8)
        for _ in range(generator.integers(0, 4)):
            y, x = generator.integers(0, 20), generator.integers(0, 28)
            pixels[y : y + generator.integers(3, 10), x : x + generator.integers(3, 10)] = 230
        Image.fromarray(pixels).save(folder / f"{number:05d}.png")
        if number % 40 == 7:
            shutil.copyfile(folder / f"{number:05d}.png", folder / f"{number:05d} copy ü.png")
        if number % 50 == 9:
            (folder / f"{number:05d} bad.jpg").write_bytes(b"no image")


class Jobs:
    """Starts jobs in child processes."""

    def __init__(self, images: Path, model: str, formats: list[str], shards: int, batch: int) -> None:
        self.images, self.formats, self.shards, self.batch = images, formats, shards, batch
        phrases = ["bright", "dark"] if model == "fast" else ["rectangle", "noise"]
        self.ontology = Ontology.of(map(parse_prompt, phrases))
        self.model = self._fast() if model == "fast" else self._loaded(model)

    @staticmethod
    def _fast() -> JobModel:
        return JobModel("fast", BrightRegions)

    @staticmethod
    def _loaded(name: str) -> JobModel:
        import torch

        from wordmask import load

        torch.set_num_threads(1)
        segmenter = load(name, device="cpu")  # before the fork; no image has passed it
        return JobModel(fingerprint_of(name), lambda: segmenter)

    def start(self, out: Path, shard: tuple[int, int] | None = None) -> int:
        """Start a job, or a shard of it, and return the child's process id."""
        child = os.fork()
        if child:
            return child
        code = 1
        with contextlib.suppress(BaseException):
            self.run(out, shard)
            code = 0
        os._exit(code)

    def start_merge(self, out: Path) -> int:
        """Start joining shards and exporting."""
        child = os.fork()
        if child:
            return child
        code = 1
        with contextlib.suppress(BaseException):
            merge_shards(out)
            self.export(out)
            code = 0
        os._exit(code)

    def run(self, out: Path, shard: tuple[int, int] | None = None) -> None:
        settings = JobSettings(batch=self.batch, shard=shard)
        run_job(expand_inputs([str(self.images)]), self.ontology, out, self.model, settings)
        if shard is None:
            self.export(out)

    def export(self, out: Path) -> None:
        with Journal(journal_path(out)) as journal:
            options = ExportOptions({"train": 0.7, "val": 0.3}, images="link")
            export_all(LabelledSet(journal), out, self.formats, options)


def state_of(out: Path, formats: list[str]) -> dict[str, str]:
    """Return the hash of the journal's contents and of every exported file."""
    with Journal(journal_path(out), create=False) as journal:
        state = {"journal": journal.digest()}
    files = [path for name in formats for path in (out / name).rglob("*") if path.is_file() and not path.is_symlink()]
    for path in sorted([*files, out / "fidelity.md", out / "quarantine.jsonl"]):
        state[path.relative_to(out).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return state


def wait(child: int, seconds: float) -> int | None:
    """Return the exit code of a child, or None if it is still running after that time."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))


def kill_until_done(start: Any, generator: random.Random, mean: float, left: int) -> int:
    """Start, kill after a random time, start again, until a child ends by itself; return the number of kills."""
    kills = 0
    while True:
        child = start()
        code = wait(child, generator.expovariate(1 / mean) if kills < left else 3600.0)
        if code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kills += 1
        elif code == 0:
            return kills
        else:
            raise SystemExit(f"a job ended with code {code}")


def kill_shards(jobs: Jobs, out: Path, generator: random.Random, mean: float, left: int) -> int:
    """Run all shards at once, killing each at random, then merge, killing that too."""
    kills = 0
    running = {n: jobs.start(out, (n, jobs.shards)) for n in range(1, jobs.shards + 1)}
    while running:
        number = generator.choice(list(running))
        code = wait(running[number], generator.expovariate(1 / mean) if kills < left else 0.05)
        if code is not None:
            if code != 0:
                raise SystemExit(f"shard {number} ended with code {code}")
            del running[number]
        elif kills < left:
            os.kill(running[number], signal.SIGKILL)
            os.waitpid(running[number], 0)
            kills += 1
            running[number] = jobs.start(out, (number, jobs.shards))
    return kills + kill_until_done(lambda: jobs.start_merge(out), generator, mean, left - kills)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run jobs until there were enough kills, and compare each with the run without any."""
    formats = list(options.formats)
    write_images(folder / "images", options.images)
    jobs = Jobs(folder / "images", options.model, formats, options.shards, options.batch)
    child = os.fork()
    began = time.monotonic()
    if not child:
        jobs.shards = 0
        jobs.run(folder / "whole")
        os._exit(0)
    assert wait(child, 3600.0) == 0
    whole_seconds = time.monotonic() - began
    wanted, generator = state_of(folder / "whole", formats), random.Random(options.seed)
    kills = finished = 0
    while kills < options.kills:
        out = folder / f"job-{finished}"
        mean = whole_seconds * options.mean
        left = options.kills - kills
        if options.shards:
            kills += kill_shards(jobs, out, generator, mean, left)
        else:
            kills += kill_until_done(lambda out=out: jobs.start(out), generator, mean, left)
        state = state_of(out, formats)
        different = sorted(name for name in {*wanted, *state} if wanted.get(name) != state.get(name))
        if different:
            raise OutputError(f"job {finished} differs in {different[:5]} after {kills} kills")
        shutil.rmtree(out)
        finished += 1
    facts = {"images": options.images, "model": options.model, "shards": options.shards, "kills": kills}
    return facts | {"jobs": finished, "files": len(wanted), "seconds_without_kills": round(whole_seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--model", default="fast", help="fast, or a name that wordmask.load takes")
    parser.add_argument("--shards", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--mean", type=float, default=0.12, help="mean time to a kill, as a fraction of a whole run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="annotate-kills-") as folder:
        print(json.dumps(measure(Path(folder), options) | {"different": 0}))


if __name__ == "__main__":
    main()
