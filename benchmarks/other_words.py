"""Measure words that are no label of the training data, and synonyms of those that are.

    python benchmarks/other_words.py DATA --out benchmarks/results/other_words.json

DATA holds the sets that the embedded weights are trained on, each in a folder; val parts are measured.

Words: nouns that captions mention and that no set has as a name, the 60 most frequent. A word is present where a
caption of the image mentions it; in an image whose captions do not mention it (or a synonym), it is taken to be absent,
which is not always true. AUROC of presence, and how often a mask is drawn.

Synonyms: mean IoU of masks asked by a synonym that LVIS lists, beside that of the same masks asked by their name.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import random
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wordmask
from wordmask.components.everyday_words import EVERYDAY_NOUNS
from wordmask.data.registry import open_data
from wordmask.data.weak_labels import VOCABULARIES
from wordmask.metrics.presence import auroc, counts_by_score

if TYPE_CHECKING:
    from wordmask.contracts import Segmenter

LABELLED = ("coco", "pascal", "celebamask", "clothing", "carparts", "camvid", "facade", "windows", "objects")
SYNONYMS_IN = ("coco", "pascal", "clothing")
WORDS = 60
ABSENT = 12
"""Images without it that a word is asked of, drawn at random."""
FEWEST = 1
"""Images that must show a word."""


def captions_of(data: Path) -> dict[Path, list[str]]:
    """Return the captions of val images by file."""
    found: dict[Path, list[str]] = {}
    weak = json.loads((data / "everyday" / "weak.json").read_text())
    people = json.loads((data / "pack_boxes.json").read_text())["people"]
    for name, content in (("everyday", weak), ("people", people)):
        for key in json.loads((data / name / "splits.json").read_text())["val"]:
            sentences = content.get(key, {}).get("captions")
            if sentences:
                found[data / name / "images" / f"{key}.jpg"] = sentences
    return found


def mentions(word: str, sentences: list[str]) -> bool:
    """Whether a caption holds a word, in the singular or the plural."""
    return bool(re.search(rf"\b{re.escape(word)}(?:s|es)?\b", "\n".join(sentences).lower()))


def labels(data: Path) -> set[str]:
    """Return every name of the labelled sets and of the vocabularies of boxes."""
    names = {name.lower() for vocabulary in VOCABULARIES.values() for name in vocabulary}
    for name in LABELLED:
        names |= {label.lower() for label in open_data(data / name, split="val").names}
    weak = json.loads((data / "everyday" / "weak.json").read_text())
    return names | {label.lower() for entry in weak.values() for label in entry.get("labels", ())}


def synonyms(data: Path) -> dict[str, set[str]]:
    """Return LVIS's synonyms by word, without disambiguations in brackets."""
    groups: dict[str, set[str]] = defaultdict(set)
    for entry in json.loads((data / "names" / "lvis_names.json").read_text()):
        group = {re.sub(r"_\(.*\)$", "", one).replace("_", " ").lower() for one in entry["synonyms"]}
        for word in group:
            groups[word] |= group - {word}
    return groups


def measure_words(data: Path, model: Segmenter) -> dict[str, Any]:
    """Return the figures of words that are no label."""
    captions, known, same = captions_of(data), labels(data), synonyms(data)
    nouns = sorted({*EVERYDAY_NOUNS, *same} - known)
    nouns = [word for word in nouns if not same[word] & known]
    shown = {word: [file for file, said in captions.items() if mentions(word, said)] for word in nouns}
    chosen = sorted(nouns, key=lambda word: (-len(shown[word]), word))[:WORDS]
    chosen = [word for word in chosen if len(shown[word]) >= FEWEST]
    draw, asked = random.Random(0), defaultdict[Path, list[tuple[str, bool]]](list)
    for word in chosen:
        words = {word, *same[word]}
        without = [file for file, said in captions.items() if not any(mentions(one, said) for one in words)]
        for file in shown[word]:
            asked[file].append((word, True))
        for file in draw.sample(without, min(ABSENT, len(without))):
            asked[file].append((word, False))
    rows = []
    for file, pairs in asked.items():
        result = model.segment(file, [word for word, _ in pairs])
        rows += [(w, there, f.presence, f.present) for (w, there), f in zip(pairs, result.founds, strict=True)]
    by_word = {word: _auroc([row for row in rows if row[0] == word]) for word in chosen}
    return {
        "images": len(asked),
        "words": {word: {"images": len(shown[word]), "auroc": by_word[word]} for word in chosen},
        "auroc": _auroc(rows),
        "auroc_mean_over_words": float(np.mean(list(by_word.values()))),
        "present_with_a_mask": float(np.mean([drawn for _, there, _, drawn in rows if there])),
        "absent_with_a_mask": float(np.mean([drawn for _, there, _, drawn in rows if not there])),
    }


def _auroc(rows: list[tuple[str, bool, float, bool]]) -> float:
    present = np.array([row[1] for row in rows])
    scores = np.array([row[2] for row in rows])
    return float(auroc(*counts_by_score(scores, present)))


def measure_synonyms(data: Path, model: Segmenter) -> dict[str, Any]:
    """Return mean IoU by name and by synonym, of every name that has one."""
    same = synonyms(data)
    rows: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for folder in SYNONYMS_IN:
        dataset = open_data(data / folder, split="val")
        every = {name.lower() for name in dataset.names}
        for index in range(len(dataset)):
            sample = dataset[index]
            for query in sample.queries:
                name = query.label.lower()
                for other in sorted(same.get(name, set()) - every):
                    by_name, by_other = model.segment(sample.image, [query.label, other]).founds
                    rows[name, other].append((_iou(by_name.mask, query.mask), _iou(by_other.mask, query.mask)))
    means = {f"{name} / {other}": np.mean(values, 0).round(4).tolist() for (name, other), values in rows.items()}
    both = np.array([pair for values in rows.values() for pair in values])
    return {
        "pairs": {key: [*means[key], len(values)] for key, values in zip(means, rows.values(), strict=True)},
        "masks": len(both),
        "iou_by_name": float(both[:, 0].mean()),
        "iou_by_synonym": float(both[:, 1].mean()),
        "kept": float(both[:, 1].mean() / both[:, 0].mean()),
        "kept_mean_over_pairs": float(
            np.mean([b for _, b in means.values()]) / np.mean([a for a, _ in means.values()])
        ),
    }


def _iou(mask: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    return float((mask & expected).sum() / max((mask | expected).sum(), 1))


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = wordmask.load(options.model)
    figures = {"words": measure_words(options.data, model), "synonyms": measure_synonyms(options.data, model)}
    text = json.dumps(figures, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
