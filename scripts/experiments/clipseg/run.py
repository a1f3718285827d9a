"""Train every variant with every seed. What is finished is left as it is; what was killed goes on.

    python -m scripts.experiments.clipseg.run --pooled runs/clipseg/pooled --clip runs/clipseg/clip \
        --vit runs/clipseg/vit --out runs/clipseg/grid

Each run is `wordmask.train.run.train`, what `wordmask train phrasecut-plus --data POOLED --model CLIP` does, with the
changes of `variants`. All runs of one seed come before those of the next, so that an experiment that was stopped early
has compared everything, with fewer seeds. `--part 1/2` and `--part 2/2` share the runs among two processes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.experiments.clipseg.variants import VARIANTS, Settings, Variant, missing, recipe_of
from wordmask.errors import WordmaskError
from wordmask.train.run import train
from wordmask.train.sources import DataChoice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wordmask.train.loop import Moment

STORE_GIB = 12


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where things are.

    Attributes:
        pooled: The data.
        clip, vit: The towers.
        out: One folder for each run is made here, and the store of read-outs that they share.
    """

    pooled: Path
    clip: Path
    vit: Path
    out: Path

    def run(self, variant: Variant, seed: int) -> Path:
        """Return a run's folder."""
        return self.out / f"{variant.name}-{seed}"

    def tower(self, variant: Variant) -> Path:
        """Return what a variant stands on."""
        return self.clip if variant.tower == "clip" else self.vit


def is_finished(folder: Path) -> bool:
    """Whether a run came to its end."""
    file = folder / "run.json"
    return file.is_file() and json.loads(file.read_bytes()).get("state") == "finished"


def planned(
    names: Sequence[str], seeds: Sequence[int], part: tuple[int, int] = (1, 1)
) -> Iterator[tuple[Variant, int]]:
    """Yield the runs of one of several processes, in order.

    The parts are dealt out anew in every seed, so that no process has the same, slow variants each time.
    """
    for turn, seed in enumerate(seeds):
        for place, name in enumerate(names):
            if (place + turn) % part[1] == part[0] - 1:
                yield VARIANTS[name], seed


def run_one(
    variant: Variant, seed: int, settings: Settings, folders: Folders, *, quiet: bool = False
) -> dict[str, Any]:
    """Train one variant; return what its run.json says.

    Raises:
        WordmaskError: If data, towers or recipe do not fit.
    """
    recipe = recipe_of(variant, seed, settings, words=folders.clip)
    folder = folders.run(variant, seed)
    record = train(
        recipe, DataChoice(folders.pooled), folder, model=folders.tower(variant), device="cpu",
        store=folders.out / "store", store_limit=STORE_GIB << 30, watch=None if quiet else _say,
    )  # fmt: skip
    for unneeded in ("checkpoints", "best"):  # without validation the best model is the last; each holds all towers
        shutil.rmtree(folder / unneeded, ignore_errors=True)
    return record


def _say(moment: Moment) -> None:
    if moment.step % 25 == 0:
        loss = sum(moment.losses.values())
        print(
            f"  {moment.step}/{moment.steps}  loss {loss:.4f}  {moment.speed:.0f}/s  {moment.left:.0f} s left",
            flush=True,
        )


def run_all(
    names: Sequence[str], seeds: Sequence[int], settings: Settings, folders: Folders, *, part: tuple[int, int] = (1, 1),
    minutes: float = 0.0, quiet: bool = False,
) -> list[str]:  # fmt: skip
    """Train everything that is not finished, and return what could not be trained, as sentences."""
    started, failed = time.monotonic(), []
    for variant, seed in planned(names, seeds, part):
        name = folders.run(variant, seed).name
        if is_finished(folders.run(variant, seed)):
            continue
        if minutes and time.monotonic() - started > 60 * minutes:
            failed.append(f"{name}: no time left")
            continue
        began = time.monotonic()
        try:
            run_one(variant, seed, settings, folders, quiet=quiet)
        except WordmaskError as error:
            failed.append(f"{name}: {error}")
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return failed


def read_part(text: str) -> tuple[int, int]:
    """Read "1/2".

    Raises:
        argparse.ArgumentTypeError: If it is none of the parts.
    """
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a part such as 1/2")
    return int(first), int(second)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pooled", "clip", "vit", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--batch", type=int, default=Settings.batch)
    parser.add_argument("--size", type=int, default=Settings.size)
    parser.add_argument("--precision", choices=("no", "bf16"), default=Settings.precision)
    parser.add_argument("--part", type=read_part, default=(1, 1), help="1/2: every second run")
    parser.add_argument("--minutes", type=float, default=0.0, help="start no run after this time; 0 = whenever")
    parser.add_argument("--list", action="store_true", help="say what is to be done, and stop")
    arguments = parser.parse_args()
    folders = Folders(pooled=arguments.pooled, clip=arguments.clip, vit=arguments.vit, out=arguments.out)
    settings = Settings(
        steps=arguments.steps, batch=arguments.batch, size=arguments.size, precision=arguments.precision
    )
    if arguments.list:
        for variant, seed in planned(arguments.variants, arguments.seeds, arguments.part):
            state = "finished" if is_finished(folders.run(variant, seed)) else "to do"
            print(f"{folders.run(variant, seed).name}: {state}", *missing(variant))
        return
    failed = run_all(
        arguments.variants, arguments.seeds, settings, folders, part=arguments.part, minutes=arguments.minutes
    )
    print("\n".join(failed) or "all finished")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
