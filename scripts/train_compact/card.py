r"""Write the model card of the embedded weights from what `evaluate.py` measured: no figure is typed by hand.

python scripts/train_compact/card.py --results benchmarks/results/compact_val.json \\
    --ungated benchmarks/results/compact_val_no_gate.json --out src/wordmask/weights/compact/README.md \\
    --commit HASH --recipe "..."
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

SOURCES = [
    ("coco", "COCO 2017, a union of small public subsets", "annotations CC BY 4.0; pictures under their Flickr terms"),
    ("pascal", "PASCAL VOC 2010 co-segmentation pictures", "research use; pictures under their Flickr terms"),
    (
        "people",
        "COCO val2017, one person polygon a picture",
        "annotations CC BY 4.0; pictures under their Flickr terms",
    ),
    ("celebamask", "CelebAMask-HQ, 1,000 faces", "non-commercial research and education only"),
    ("clothing", "Clothing Co-Parsing", "repository's licence Apache-2.0; pictures are web fashion photographs"),
    ("carparts", "Car Parts", "research use"),
    ("camvid", "CamVid", "research use"),
    ("facade", "LabelMeFacade", "non-commercial research only"),
    ("windows", "Building facade instances", "no licence stated: research use"),
    ("objects", "ETH-80 turntable objects", "no licence stated"),
    ("names", "LVIS nouns with CLIP ViT-B/32 text vectors, from Detic", "Apache-2.0"),
]

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

HEAD = """# wordmask-compact, {edition}

A small network that segments what a phrase, an example picture or both name. It ships inside `wordmask`, so that every
command works with no download. {parameters:.1f} M parameters, {size:.1f} MB in fp16.

- **Image encoder**: residual network with {attention} attention blocks at stride 32; **neck**: feature pyramid to
  stride 4.
- **Text encoder**: byte-level BPE ({tokens} tokens, its own, lower case) and a {depth}-block transformer, trained
  towards CLIP ViT-B/32 text vectors of 1,203 nouns and their synonyms; frozen while masks are learned.
- **Mask decoder**: conditioned by FiLM as CLIPSeg's is (arXiv 2112.10003), plus one product of pixel vectors with a
  vector made from the condition.
- **Presence head**: whether the thing is there at all.
- **Agreement**: {agreement}.
- **Calibrated** by Platt scaling on validation pictures: the probabilities of masks, on what is there, and presence, on
  pictures of which it is known what they do not hold.
- **Left and right** of faces and cars are the subject's own. No picture was mirrored without swapping the words.

Everything was trained from nothing on the pictures below: there are no pretrained weights in it, except that the text
encoder imitates CLIP's text vectors.

## How it was made
{recipe}

Scripts: `scripts/train_compact/` at commit {commit}.

## Data and terms
The pictures are not part of this package. Because several sets are for **non-commercial research only**, so are these
weights: use your own or published weights where that does not fit.

| set | what | terms |
|---|---|---|
{sources}

## Measured quality
On the validation splits (never trained on), through the public interface, at the pictures' own resolution, presence
threshold {presence} in force, each mask cut {threshold}. mIoU: mean over names of summed intersection over summed
union, over the pictures that hold the name. Picture IoU: mean over (picture, name). Command:
`python scripts/train_compact/evaluate.py --data DATA --cache CACHE --out results.json`. The column "no gate" is the
mIoU where no mask is emptied, as fits names that are known to be there: `--settings '{{"presence_threshold": 0}}'`.

| set | mIoU | no gate | picture IoU | names | (picture, name) pairs | merged names mIoU |
|---|---|---|---|---|---|---|
{sets}

Presence (is the named thing there?), exhaustive pictures only. The calibrations of masks and of presence were fitted
on these same splits, two numbers each and a threshold; the canvas of {long_side} pixels and, where cells agree, the few
constants of that were chosen on them as well: that flatters the figures a little.

| set | AUROC | false positives at 95 % recall | Brier score | pairs |
|---|---|---|---|---|
{presences}

Words that were never a name in training on pictures, but which the text encoder was taught, keep {ratio} of the trained
name's IoU on average; {share} of the {words} tried keep at least 80 %. Words that it was not taught either keep
{ratio_untaught} ({words_untaught} tried, {share_untaught} of them at least 80 %): what is not in its vocabulary is
guessed from its syllables.
Mirror check over names with a side (picture mirrored, left and right swapped in the words): {mirror}.

Per name:

{names}

## Limits
- Trained on about 4,500 pictures: beyond faces, clothes, cars, streets, facades, animals and vehicles it guesses.
- It does not read relations ("the dog left of the tree") or colours: "red car" means "car".
- One mask per phrase; touching things of a kind are one instance.
- Thin and tiny things suffer from masks that are decided on every fourth pixel of a {long_side}-pixel canvas.
- Faces were seen large and upright, or pasted on streets and facades: elsewhere the mask of a face may spill over.
- In the face pictures 55 of 820 pairs of eyes are named the wrong way round (their authors' labels): left and right
  cannot be learned, or measured, better than that.
"""


def agreement_of(sharpness: float | None) -> str:
    """Whether cells agree on their answers, in words."""
    if sharpness is None:
        return "none"
    return f"cells whose pixel vectors are alike agree on an answer (sharpness {sharpness:g}); nothing is trained"


def cut_of(threshold: float | None) -> str:
    """Where masks are cut, in words."""
    return "where its expected IoU is highest" if threshold is None else f"at {threshold}"


def table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def facts(results: dict[str, Any]) -> dict[str, Any]:
    """Return what `wordmask models` prints about the weights."""
    return {
        "trained_on": [f"{what} ({terms})" for _, what, terms in SOURCES],
        "quality": {f"{name} mIoU": round(result["mIoU"], 3) for name, result in results["sets"].items()},
        "terms": "non-commercial research only",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--ungated", type=Path, required=True, help="results without the presence gate")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--edition", default="first edition")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--readme", type=Path, help="README whose table is written anew")
    args = parser.parse_args()
    results, ungated = (json.loads(path.read_text()) for path in (args.results, args.ungated))
    config = json.loads((args.out.parent / "config.json").read_text())
    size = sum(p.stat().st_size for p in args.out.parent.iterdir() if p.suffix in (".safetensors", ".json")) / 1e6
    merged, synonyms, untaught = results["merged"], results["synonyms"], results["words never taught"]
    sets = [
        [
            s,
            f"{r['mIoU']:.3f}",
            f"{ungated['sets'][s]['mIoU']:.3f}",
            f"{r['picture IoU']:.3f}",
            str(len(r["names"])),
            str(r["pairs"]),
            f"{merged[s]['mIoU']:.3f}" if s in merged else "",
        ]
        for s, r in results["sets"].items()
    ]
    presences = [
        [s, f"{r['AUROC']:.3f}", f"{r['FPR at 95 % recall']:.3f}", f"{r['Brier']:.3f}", str(r["pairs"])]
        for s, r in results["presence"].items()
    ]
    both = {s: r["names"] | merged.get(s, {}).get("names", {}) for s, r in results["sets"].items()}
    names = "\n\n".join(
        f"**{s}**: " + ", ".join(f"{n} {v:.2f}" for n, v in sorted(r.items(), key=lambda i: -i[1]))
        for s, r in both.items()
    )
    text = HEAD.format(
        edition=args.edition,
        parameters=(args.out.parent / "model.safetensors").stat().st_size / 2e6,
        size=size,
        tokens=config["network"]["tokens"],
        depth=config["network"]["text_depth"],
        recipe=args.recipe,
        commit=args.commit,
        attention=config["network"]["attention"],
        sources=table([list(row) for row in SOURCES]),
        presence=config["settings"]["presence_threshold"],
        threshold=cut_of(config["settings"]["threshold"]),
        agreement=agreement_of(config["settings"].get("affinity_sharpness")),
        long_side=config["settings"]["long_side"],
        sets=table(sets),
        presences=table(presences),
        ratio=f"{synonyms['mean ratio']:.0%}",
        share=f"{synonyms['share at 0.8 or more']:.0%}",
        words=synonyms["counted"],
        ratio_untaught=f"{untaught['mean ratio']:.0%}",
        share_untaught=f"{untaught['share at 0.8 or more']:.0%}",
        words_untaught=untaught["counted"],
        mirror="; ".join(
            f"{s} " + ", ".join(f"{k} {v:.2f}" for k, v in r.items()) for s, r in results["mirror"].items()
        ),
        names=names,
    )
    args.out.write_text(text, encoding="utf-8")
    args.out.with_name("card.json").write_text(json.dumps(facts(results), indent=1) + "\n", encoding="utf-8")
    if args.readme:
        fill(args.readme, results)


def fill(readme: Path, results: dict) -> None:
    """Write one row per set between the two marks of the README."""
    rows = [["validation set", "names", "mIoU", "IoU per picture and name"], ["---"] * 4]
    rows += [
        [s, str(len(r["names"])), f"{r['mIoU']:.2f}", f"{r['picture IoU']:.2f}"] for s, r in results["sets"].items()
    ]
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
