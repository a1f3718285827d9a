"""One image, many prompts: CLIPSeg of wordmask and of transformers, used as its documentation shows.

    python benchmarks/many_prompts.py                      # 1, 10, 50 and 100 prompts; minutes to an hour
    python benchmarks/many_prompts.py --prompts 1 10       # a quick look

Both sides load the same checkpoint (by default random weights in the sizes of clipseg-rd64-refined, saved to disk
first) and go from a decoded image and phrases to logits, so each includes its own preprocessing: transformers'
processor, which takes the image once per prompt and pads the phrases, and wordmask's `segment`, with its cache of
phrase embeddings cleared before every call. `warm` is wordmask with cached phrases. Runs alternate, A B A B; the
ratio is taken within each pair and its median reported. Wall time is what a user waits for, CPU time is steadier on a
shared machine. Peak memory is the rise of the process's high-water mark (Linux: VmHWM, reset through
/proc/self/clear_refs) during one call, in a process that runs that side alone.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import itertools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from wordmask.device import choose_dtype
from wordmask.images import load_image
from wordmask.methods.clipseg import load_clipseg

RESULTS = Path(__file__).parent / "results"
REPEATS = {1: 7, 10: 5, 50: 3, 100: 1}
MEMORY_AT = 50
COLOURS = ("red", "green", "blue", "white", "black", "small", "large", "left", "right", "wooden")
OBJECTS = ("car", "dog", "chair", "eye", "bottle", "window", "face", "tree", "cup", "shoe")
PHRASES = [f"a {colour} {noun}" for colour, noun in itertools.product(COLOURS, OBJECTS)]
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "asimd", "bf16")

Side = Callable[[list[str]], np.ndarray]


def write_tokenizer(folder: Path) -> None:
    """Write a CLIP tokenizer trained on the phrases, with CLIP's own ids for start and end of text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        PHRASES * 3, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, end_of_word_suffix="</w>")
    )
    learned = json.loads(tokenizer.to_str())["model"]
    vocabulary = learned["vocab"] | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in learned["merges"]]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))


def write_checkpoint(folder: Path) -> None:
    """Write random weights in the sizes of CIDAS/clipseg-rd64-refined, large enough that phrases make a difference."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    config = transformers.CLIPSegConfig(
        vision_config={"patch_size": 16, "image_size": 352}, use_complex_transposed_convolution=True, reduce_dim=64
    )
    torch.manual_seed(0)
    model = transformers.CLIPSegForImageSegmentation(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif "norm" not in name:
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    processor = transformers.ViTImageProcessor(size={"height": 352, "width": 352}, image_mean=mean, image_std=std)
    processor.save_pretrained(folder)


def documented(folder: Path, pixels: np.ndarray, padding: bool | str) -> Side:
    """Return transformers' side, as the documentation of CLIPSegForImageSegmentation shows it."""
    processor = transformers.CLIPSegProcessor.from_pretrained(folder)
    model = transformers.CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    image = Image.fromarray(pixels)

    def run(texts: list[str]) -> np.ndarray:
        inputs = processor(text=texts, images=[image] * len(texts), padding=padding, return_tensors="pt")
        with torch.inference_mode():
            logits: torch.Tensor = model(**inputs).logits
        return np.asarray(logits.reshape(len(texts), *logits.shape[-2:]))

    return run


def ours(folder: Path, pixels: np.ndarray, dtype: str, *, warm: bool = False) -> Side:
    """Return wordmask's side through its public call; `warm` keeps the embeddings of phrases between calls."""
    segmenter = load_clipseg(folder, device="cpu", dtype=dtype)

    def run(texts: list[str]) -> np.ndarray:
        if not warm:
            segmenter.prompt_cache.clear()
        founds = segmenter.segment(pixels, texts)
        logits = [found.heatmap_logits.values for found in founds if found.heatmap_logits is not None]
        joint = logits[0].base  # of all prompts
        return joint if joint is not None else np.stack(logits)

    return run


def timed(side: Side, texts: list[str]) -> tuple[np.ndarray, dict[str, float]]:
    """Return the logits of one call, and its seconds of wall and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    logits = side(texts)
    return logits, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def compare(theirs: Side, mine: dict[str, Side], count: int, repeats: int) -> dict[str, Any]:
    """Run the sides alternately and return their times, the ratios within pairs, and the differences of logits."""
    texts = PHRASES[:count]
    runs: dict[str, list[dict[str, float]]] = {"documented": [], **{name: [] for name in mine}}
    differences: dict[str, dict[str, float]] = {}
    for repeat in range(repeats):
        expected, seconds = timed(theirs, texts)
        runs["documented"].append(seconds)
        for name, side in mine.items():
            got, seconds = timed(side, texts)
            runs[name].append(seconds)
            if repeat == 0:
                differences[name] = difference(got, expected)
    ratios = {name: [ratio(a, b) for a, b in zip(runs["documented"], runs[name], strict=True)] for name in mine}
    return {
        "prompts": count,
        "runs": runs,
        "medians": {name: medians(values) for name, values in runs.items()},
        "ratios": ratios,
        "ratio_medians": {name: medians(values) for name, values in ratios.items()},
        "logits": differences,
    }


def difference(got: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Return the largest absolute and the relative (L2) difference, and standard deviations of the logits."""
    gap = got.astype(np.float64) - expected
    return {
        "max_abs": float(np.abs(gap).max()),
        "relative_l2": float(np.linalg.norm(gap) / np.linalg.norm(expected)),
        "std": float(expected.std()),
        "std_between_prompts": float(expected.std(axis=0).mean()),
    }


def ratio(theirs: dict[str, float], mine: dict[str, float]) -> dict[str, float]:
    """Return the ratio of each value."""
    return {key: theirs[key] / mine[key] for key in theirs}


def medians(values: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each value."""
    return {key: statistics.median(value[key] for value in values) for key in values[0]}


def status_mib(field: str) -> float:
    """Return a memory figure of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def peak_of(side: Side, count: int) -> float:
    """Return the peak memory of one call in MiB, above that after a call with one prompt."""
    side(PHRASES[:1])
    before = status_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    side(PHRASES[:count])
    return status_mib("VmHWM") - before


def peaks(folder: Path, arguments: argparse.Namespace, sides: list[str]) -> dict[str, float] | None:
    """Return the peak extra memory of each side at `MEMORY_AT` prompts, each in a fresh process."""
    if not Path("/proc/self/clear_refs").exists():
        print("memory: skipped, needs Linux")
        return None
    found = {}
    for name in sides:
        command = [sys.executable, __file__, "--checkpoint", str(folder), "--threads", str(arguments.threads)]
        done = subprocess.run([*command, "--peak-of", name], capture_output=True, text=True, check=True)
        found[name] = float(done.stdout.split()[-1])
        print(f"memory at {MEMORY_AT} prompts, {name}: +{found[name]:.0f} MiB", flush=True)
    return found


def machine() -> dict[str, Any]:
    """Return a description of the machine."""
    information = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in information.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "cpu": fields.get("model name", platform.processor()),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "omp_wait_policy": os.environ["OMP_WAIT_POLICY"],
    }


def load_average() -> list[float]:
    """Return the load averages of 1, 5 and 15 minutes, other processes included."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 10, 50, 100], choices=range(1, 101), metavar="N")
    parser.add_argument("--repeats", type=int, help="pairs per number of prompts (default: 7 for 1, fewer for more)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--checkpoint", type=Path, help="a local CLIPSeg folder (default: random weights)")
    parser.add_argument(
        "--padding",
        default="longest",
        choices=["longest", "max_length"],
        help="padding of phrases on transformers' side",
    )
    parser.add_argument("--image", default="sample:astronaut")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "many_prompts.json")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the comparison, write the record and return it."""
    pixels = load_image(arguments.image).pixels
    record: dict[str, Any] = {
        "benchmark": "many_prompts",
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": load_average(),
        "checkpoint": "random weights, clipseg-rd64-refined's sizes" if arguments.checkpoint is None else folder.name,
        "preprocessing": "included on both sides",
        "padding": arguments.padding,
        "image": arguments.image,
        "skipped": [],
    }
    dtypes = ["float32"]
    if choose_dtype("auto", torch.device("cpu")) == torch.bfloat16:
        dtypes.append("bfloat16")
    else:
        record["skipped"].append("bfloat16: this CPU has neither AMX nor AVX512-BF16")
        print(f"skipped {record['skipped'][0]}", flush=True)
    theirs = documented(folder, pixels, arguments.padding)
    mine = {dtype: ours(folder, pixels, dtype) for dtype in dtypes}
    mine |= {f"{dtype} warm": ours(folder, pixels, dtype, warm=True) for dtype in dtypes}
    for side in (theirs, *mine.values(), *mine.values()):
        side(PHRASES[:1])  # first calls allocate and choose kernels
    record["results"] = []
    for count in arguments.prompts:
        for name, side in mine.items():
            if name.endswith("warm"):
                side(PHRASES[:count])
        repeats = arguments.repeats or REPEATS[min(REPEATS, key=lambda known: abs(known - count))]
        record["results"].append(compare(theirs, mine, count, repeats))
        show(record["results"][-1])
        write(record, arguments.out)  # after each, so that an interrupted run is not lost
    if not arguments.no_memory:
        record["peak_extra_mib"] = {"prompts": MEMORY_AT, **(peaks(folder, arguments, ["documented", *dtypes]) or {})}
    record["load_after"] = load_average()
    write(record, arguments.out)
    return record


def write(record: dict[str, Any], path: Path) -> None:
    """Write the record as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def show(result: dict[str, Any]) -> None:
    """Print the results of one number of prompts, one line per side."""
    base = result["medians"]["documented"]
    print(f"{result['prompts']:>4} prompts  documented      {base['wall_s']:8.2f} s wall {base['cpu_s']:8.2f} s CPU")
    for name, ratios in result["ratio_medians"].items():
        seconds, error = result["medians"][name], result["logits"][name]
        times = f"{seconds['wall_s']:8.2f} s wall {seconds['cpu_s']:8.2f} s CPU"
        faster = f"{ratios['wall_s']:6.1f}x wall {ratios['cpu_s']:6.1f}x CPU"
        print(f"{'':14}{name:<15} {times} {faster}  max |d| {error['max_abs']:.1e}", flush=True)


def main() -> None:
    """Measure, print, and write JSON."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    if arguments.peak_of:
        pixels, name = load_image(arguments.image).pixels, arguments.peak_of
        is_theirs = name == "documented"
        side = (
            documented(arguments.checkpoint, pixels, arguments.padding)
            if is_theirs
            else ours(arguments.checkpoint, pixels, name)
        )
        print(peak_of(side, MEMORY_AT))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.checkpoint or Path(scratch) / "clipseg-rd64-refined-random"
        if arguments.checkpoint is None:
            write_checkpoint(folder)
        measure(folder, arguments)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
