"""Make the embedded weights: images, training, calibration, card.

    python scripts/embedded/make_embedded.py images --data ../shared/data --out runs/embedded
    python scripts/embedded/make_embedded.py teachers --teachers ../shared/teachers --out runs/embedded
    python scripts/embedded/make_embedded.py train --data ../shared/data --out runs/embedded --device cuda
    python scripts/embedded/make_embedded.py train --start runs/embedded/run/last --out runs/embedded --device cuda
    python scripts/embedded/make_embedded.py garments --data ../shared/data --out runs/embedded
    python scripts/embedded/make_embedded.py calibrate --data ../shared/data --out runs/embedded
    python scripts/embedded/make_embedded.py presence --data ../shared/data --out runs/embedded
    python scripts/embedded/make_embedded.py card --out runs/embedded

`train --start` goes on from weights, with more everyday images, half of them mixed from two; the stages after it then
take `--model runs/embedded/further/last`. `text` trains a new text encoder; without it that of the embedded weights is
kept. `teachers` needs `ai-edge-litert`.
`--steps`, `--batch` and `--small` make a short trial on a CPU. `card` reads what `wordmask evaluate` measured.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import torch
from presence import add_presence
from report import calibration, write_card
from sets import FACTS, EmbeddedData, write_images

from wordmask.data.registry import open_data
from wordmask.methods.compact import load_compact
from wordmask.methods.table import WEIGHTS
from wordmask.settings import Settings
from wordmask.training.compact.batches import BatchMaker
from wordmask.training.compact.labelled_images import LabelledImages, load_labelled_images
from wordmask.training.compact.mixing import Mixing
from wordmask.training.compact.own_presence import raise_presence, save_presence_head, without_pooled_presence
from wordmask.training.compact.phrase_bank import PhraseBank, build_bank
from wordmask.training.compact.teachers import FeatureTeacher, Teachers
from wordmask.training.compact.text_stage import train_text_encoder
from wordmask.training.compact.tflite import load_network, read_operations, save_network
from wordmask.training.compact.trainable import CompactTrainable
from wordmask.training.compact.training_set import CompactSet
from wordmask.training.compact.vocabulary import PhraseTargets
from wordmask.training.data import DataChoice, Subset, TrainingData
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes.compact import compact
from wordmask.training.run import train

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = {
    "everyday": 116, "celebamask": 40, "camvid": 20, "carparts": 16, "clothing": 14, "facade": 7, "windows": 5,
    "objects": 6,
}  # fmt: skip
"""Images of each label space in a batch of 224."""
FURTHER = {
    "everyday": 142, "celebamask": 28, "camvid": 14, "carparts": 12, "clothing": 12, "facade": 6, "windows": 5,
    "objects": 5,
}  # fmt: skip
"""The same where training goes on from weights."""
CUT_MIXED = {"everyday": 0.5}
"""Share of images that get a rectangle of another one, where training goes on from weights."""
SCALES = {"celebamask": (0.55, 1.05), "camvid": (0.4, 1.0), "facade": (0.4, 1.0), "carparts": (0.5, 1.05)}
GROUP_ODDS = {7: 2.5, 8: 2.5, 9: 1.0, 10: 1.0, 11: 0.6}
"""How often images of coco, pascal, people and everyday with and without boxes are drawn beside one another."""
TAPS = {"deeplab": (180, 182), "mnv2": (168,)}
"""Tensors of the teachers' files: features and logits of names; features."""
FILES = {"deeplab": "deeplabv3_mnv2_pascal_quant.tflite", "mnv2": "mobilenet_v2_1.0_224_quant.tflite"}
GARMENT_LOGIT = 4.5
"""Target of the presence logit of garments on fashion photographs."""
STAGES = ("images", "teachers", "text", "train", "garments", "calibrate", "presence", "card")
STEPS = 4061
"""Steps from random weights: 558 s on one H100, 909,664 images."""
FURTHER_STEPS = 3733
"""Steps of the weights that ship from there on: 655 s on one H100, 836,192 images."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedImages(Settings):
    """The prepared images as the data of a recipe."""

    data: str = ""
    prepared: str = ""
    device: str = "cpu"
    small: bool = False
    further: bool = False

    repeats: ClassVar[bool] = False

    def open(
        self, choice: DataChoice, model: Any, schedule: Any, *, skip_bad: bool, scratch: Path
    ) -> TrainingData:  # fmt: skip
        """Load the images and join them with teachers; what the files hold is what `images` and `teachers` wrote."""
        assert isinstance(model, CompactTrainable)
        shares = FURTHER if self.further else COUNTS
        counts = {k: max(1, round(n * schedule.batch / sum(shares.values()))) for k, n in shares.items()}
        changes = {"cut_mixed": CUT_MIXED} if self.further else {}
        maker = self.maker(model.embed, counts, seed=schedule.seed, **changes)
        images, bank = maker.data, maker.bank
        teachers = self._teachers(counts["everyday"], sum(counts.values()), images.spaces[0].labels)
        model.prepare(len(bank.names), teachers)
        training_set = CompactSet(
            maker, schedule, name="embedded", split="train", fingerprint=str(len(images)), size=model.size
        )
        sample = open_data(Path(self.data) / "pascal", split="train")
        return TrainingData(training_set, Subset(sample, tuple(range(40))), None)

    def maker(
        self, embed: Callable[[list[str]], torch.Tensor], counts: dict[str, int], *, seed: int = 0, **changes: Any
    ) -> BatchMaker:
        """Load the prepared images and return what makes batches of them."""
        images, bank = self.load(embed)
        mixing = everyday_mixing(images, counts, **changes)
        return BatchMaker(images.to(self.device), bank.to(self.device), mixing, seed=seed)

    def load(self, embed: Callable[[list[str]], torch.Tensor]) -> tuple[LabelledImages, PhraseBank]:
        """Load the prepared images, and embed the phrases that name what they show."""
        images = load_labelled_images([Path(self.prepared) / "images"])
        if self.small:
            images = images.every(16)
        names = sorted({n for s in images.spaces for n in s.names})
        targets = PhraseTargets(Path(self.data) / "names", FACTS, names)
        clothes = next(s for s in images.spaces if s.name == "clothing").labels
        related = [*FACTS["unions"]["celebamask"], *clothes]
        return images, build_bank(images.spaces, embed, targets, related=related)

    def _teachers(self, everyday: int, batch: int, labels: tuple[str, ...]) -> Teachers:
        """The shipped weights for masks of all but everyday images; two networks by Google for those."""
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        before: Any = load_compact(WEIGHTS / "compact", device=self.device, dtype=dtype)
        features = feature_teachers(Path(self.prepared), everyday, labels, device=self.device, mixed=self.further)
        return Teachers([before.model], slice(everyday, batch), features)


def everyday_mixing(images: LabelledImages, counts: dict[str, int], **changes: Any) -> Mixing:
    """How batches are mixed, with so many images of each label space."""
    things = {*FACTS["everyday_things"], *"person bicycle car truck chair umbrella backpack suitcase bench".split()}
    values: dict[str, Any] = {
        "scales": SCALES,
        "group_odds": GROUP_ODDS,
        "pasted": {"everyday": 0.25, "celebamask": 0.25, "objects": 0.7},
        "grounds": {"celebamask": ("facade", "windows", "camvid", "carparts"), "objects": ("celebamask",)},
        "pasteable": tuple(n for n in images.spaces[0].labels if n in things),
        "real_ground": ("celebamask", "camvid", "clothing", "carparts", "objects", "facade"),
        "open_names": ("everyday",),
    }
    return Mixing(counts=counts, **values | changes)


def feature_teachers(
    folder: Path, everyday: int, labels: tuple[str, ...], *, device: str = "cpu", mixed: bool = False
) -> dict[str, FeatureTeacher]:
    """The two networks by Google, where `teachers` wrote them, for the first `everyday` images of a batch.

    The one of 20 names answers five eighths of these: the last ones, which may be `mixed`, or the first.
    """
    values = (0, *(labels.index("couch" if n == "sofa" else n) + 1 for n in FACTS["voc20"]))
    half = torch.float16 if device == "cuda" else torch.float32
    networks = {
        k: load_network(folder / f"{k}.pt", taps).to(device, half)
        for k, taps in TAPS.items()
        if (folder / f"{k}.pt").is_file()
    }
    features = {}
    if "deeplab" in networks:
        deep = networks["deeplab"]
        many = everyday * 5 // 8
        rows = slice(everyday - many, everyday) if mixed else slice(0, many)
        features["deeplab"] = FeatureTeacher(lambda x: tuple(deep(x.to(half))), 256, "coarse", 1.34, 16, values, rows)
    if "mnv2" in networks:
        tags, rows = networks["mnv2"], slice(0, everyday)
        features["mnv2"] = FeatureTeacher(lambda x: (tags(x.to(half))[0], None), 1280, "deep", 1.0, 32, (), rows)
    return features


def embedded_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe of the weights that ship."""
    recipe, further = compact(), args.start is not None
    whole = FURTHER_STEPS if further else STEPS
    steps = args.steps or whole
    at = steps / whole
    sizes = ((0, 256), (1570, 320)) if further else ((0, 192), (1700, 256), (3210, 320))
    changes = {
        "steps": steps, "batch": args.batch, "decay_from": round((325 if further else 1200) * at), "valid_every": 0,
        "save_every": 500, "sizes": ((0, 96),) if args.small else tuple((round(n * at), s) for n, s in sizes),
        "warm_up": min(150 if further else 200, steps), "precision": "bf16" if args.device == "cuda" else "no",
    }  # fmt: skip
    if further:
        schedule = recipe.schedule
        changes |= {"lr": 0.55 * schedule.lr, "muon_lr": 0.55 * schedule.muon_lr, "seed": 1}
    recipe = with_changes(recipe, changes)
    prepared = EmbeddedImages(
        data=str(args.data), prepared=str(args.out), device=args.device, small=bool(args.small), further=further
    )
    return replace(recipe, name="embedded", data=prepared)


def make_text(args: argparse.Namespace) -> None:
    """Train a text encoder of its own and keep it beside the run."""
    from safetensors.torch import save_file

    data = EmbeddedData(args.data)
    captions = [c["caption"] for c in json.loads((args.data / "coco/captions.json").read_text())]
    encoder, tokenizer = train_text_encoder(data.targets, captions)
    (args.out / "text").mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, args.out / "text/text.safetensors")
    tokenizer.save(str(args.out / "text/tokenizer.json"))


def make_teachers(args: argparse.Namespace) -> None:
    """Convert the teachers' files for torch."""
    args.out.mkdir(parents=True, exist_ok=True)
    for name, file in FILES.items():
        operations = read_operations(args.teachers / file)
        last = next(i for i, e in enumerate(operations) if e["output"] == TAPS[name][-1])
        save_network(args.out / f"{name}.pt", operations[: last + 1])


def make_weights(args: argparse.Namespace) -> None:
    """Train; the run's folder holds the weights under `last`."""
    device = None if args.device == "cuda" else "cpu"
    model = None if args.start is None else without_pooled_presence(args.start, args.out / "start")
    run, data = args.out / ("run" if model is None else "further"), DataChoice(args.data / "pascal")
    train(embedded_recipe(args), data, run, model=model, device=device, probe=None)


def raise_garments(args: argparse.Namespace) -> None:
    """Fine-tune the presence head to raise the logits of garments on fashion photographs and keep all others.

    Their labels are not exhaustive, so absent names are uncertain and the presence of garments in the image stays low:
    a threshold chosen on everyday images would empty a fifth of the masks.
    """
    folder = args.model or args.out / "run/last"
    segmenter: Any = load_compact(folder)
    head, *rows = read_presence(segmenter.model, args)
    raise_presence(head, *rows, logit=GARMENT_LOGIT)
    save_presence_head(folder, head)


def read_presence(model: Any, args: argparse.Namespace) -> tuple[Any, ...]:
    """Return the presence head and, for training batches, its inputs, its logits, what is there, what is clothing."""
    data = EmbeddedImages(data=str(args.data), prepared=str(args.out), small=args.small)
    maker = data.maker(model.embed_texts, {k: max(1, n // 8) for k, n in COUNTS.items()}, prompts=14, hidden=0.0)
    head, read, rest = model.network.decoder.presence, [], []
    hook = head.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].float()))
    for step in range(args.batches):
        batch = maker.make(step, 96 if args.small else 320)
        with torch.no_grad():
            _, answer = model.network.decoder(model.network.encode(batch.pixels), batch.vectors)
        rest.append((answer, batch.presence, batch.space == maker.space_index["clothing"]))
    hook.remove()
    return (head, torch.cat(read), *(torch.cat(column) for column in zip(*rest, strict=True)))


def calibrate(args: argparse.Namespace) -> None:
    """Fit probabilities of masks and presence on the val parts, and write them and the gate into config.json."""
    folder = args.model or args.out / "run/last"
    config = json.loads((folder / "config.json").read_text())
    fitted = calibration(folder, EmbeddedData(args.data, "val"), limit=args.limit)
    chosen = {"threshold": None, "weak_part_ratio": 0.5, "label_threshold": 0.5, "presence_threshold": args.gate}
    config["settings"] |= fitted | chosen
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def make_card(args: argparse.Namespace) -> None:
    """Write README.md and card.json from the results of `wordmask evaluate`."""
    write_card(args.model or args.out / "run/last", args.results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--teachers", type=Path, default=Path("../shared/teachers"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="folder to calibrate; default: the run's")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--start", type=Path, help="folder of weights that `train` goes on from; the run is `further`")
    parser.add_argument("--steps", type=int, help="of a trial; default: as the weights that ship")
    parser.add_argument("--batch", type=int, default=224)
    parser.add_argument("--quality", type=int, default=90, help="WebP quality of the stored images")
    parser.add_argument("--batches", type=int, default=48, help="batches that the stage garments reads")
    parser.add_argument("--gate", type=float, default=0.5, help="presence below which a mask is empty")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/ledger"), help="for the card")
    parser.add_argument("--limit", type=int, help="images of each set that calibration reads")
    parser.add_argument("--small", action="store_true", help="a trial with few small images")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    stages = {"text": make_text, "teachers": make_teachers, "train": make_weights, "calibrate": calibrate}
    stages |= {"garments": raise_garments, "presence": add_presence, "card": make_card}
    if args.stage == "images":
        write_images(args.data, args.out / "images", quality=args.quality)
    else:
        stages[args.stage](args)


if __name__ == "__main__":
    main()
