"""The table of methods: how each is loaded and trained, its embedded weights and its presets.

A new method is one entry here. Importing this loads no method: functions are named as "package.module:function" and
imported when they are first used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from wordmask.checkpoints.bundles import Part, read_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["METHODS", "REFINER", "Entry", "Method", "Preset", "imported", "known_presets", "method_of_type"]

WEIGHTS = Path(__file__).parents[1] / "weights"

Entry: TypeAlias = "str | Callable[..., Any]"
"""A function, or where it is: "package.module:function"."""


@dataclass(frozen=True)
class Preset:
    """A published model that `load` knows by name.

    Attributes:
        name: What the user types.
        summary: One line for people.
        parts: Its checkpoints. A single one is loaded as it is.
        folder: The bundle that ships with the package and names the same parts (`checkpoints.bundles`); None for a
            single checkpoint.
    """

    name: str
    summary: str
    parts: tuple[Part, ...]
    folder: Path | None = None

    @property
    def bytes(self) -> int | None:
        """Size of the whole download; None where a part's is not known."""
        sizes = [part.bytes for part in self.parts]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True)
class Method:
    """A published idea.

    Attributes:
        name: What the user types.
        summary: One line for people.
        loaders: By the `model_type` of a folder's config.json, a function `(folder, *, device, dtype) -> Segmenter`.
            For a bundle it takes `parts`, too: a local folder for each role.
        file_loader: The same for a single weight file, as the authors published it; None where there is no such form.
        embedded: Folder of the weights that ship with the package; None where there are none.
        trainer: A function `(folder, settings) -> Trainable`; None where the method is not trained.
        presets: Published models.
    """

    name: str
    summary: str
    loaders: Mapping[str, Entry] = field(default_factory=dict)
    file_loader: Entry | None = None
    embedded: Path | None = None
    trainer: Entry | None = None
    presets: tuple[Preset, ...] = ()

    @property
    def planned(self) -> bool:
        """Whether there is nothing to load yet."""
        return not self.loaders


def _clipseg(name: str, hub: str, summary: str) -> Preset:
    return Preset(name, summary, (Part("model", hub, bytes=603_000_000, licence="Apache-2.0"),))


GROUNDING_DINO = Part(
    "detector", "IDEA-Research/grounding-dino-tiny", "a2bb814dd30d776dcf7e30523b00659f4f141c71", bytes=689_000_000,
    licence="Apache-2.0",
)  # fmt: skip


REVISIONS = {"facebook/sam-vit-base": "d0d9250bd6a38ebbb901aa29e8d37787e366f7be"}
MM_GROUNDING_DINO = Part(
    "detector", "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", bytes=693_000_000, licence="Apache-2.0"
)
OWLV2 = Part("detector", "google/owlv2-base-patch16-ensemble", bytes=620_000_000, licence="Apache-2.0")


def _sam(name: str, hub: str, millions: int, summary: str, *, detector: Part = GROUNDING_DINO) -> Preset:
    """A detector and a box-prompted segmenter; the same parts as the folder in the package names."""
    segmenter = Part("segmenter", hub, REVISIONS.get(hub), bytes=millions * 10**6, licence="Apache-2.0")
    return Preset(name, summary, (detector, segmenter), WEIGHTS / name)


CLIP_B16 = Part(
    "clip", "openai/clip-vit-base-patch16", revision="57c216476eefef5ab752ec549e440a49ae4ae5f3", bytes=602_000_000,
    licence="MIT (model card)",
)  # fmt: skip


def _two_stage(name: str, host: Part, summary: str) -> Preset:
    """A host that proposes masks and the CLIP that scores them; the same parts as the folder in the package names."""
    return Preset(name, summary, (host, CLIP_B16), WEIGHTS / name)


def _bundle(name: str, summary: str) -> Preset:
    folder = WEIGHTS / name
    return Preset(name, summary, read_parts(folder), folder)


REFINER: Entry = "wordmask.methods.imss.refinement:embedded_refiner"
"""What loads the refiner in the package for a device: `components.refiner.CropRefiner`."""

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "compact",
            "text or visual prompt; small convolutional network with attention, dense mask and presence",
            loaders={
                "wordmask-compact": "wordmask.methods.compact:load_compact",
                "wordmask-exported": "wordmask.methods.exported:load_exported",  # ONNX or OpenVINO
            },
            embedded=WEIGHTS / "compact",
            trainer="wordmask.methods.compact.training:finetune_compact",
        ),
        Method(
            "clipseg",
            "text, visual or mixed prompt; frozen CLIP, FiLM-conditioned decoder, dense mask",
            loaders={
                "clipseg": "wordmask.methods.clipseg:load_clipseg",
                "wordmask-clipseg": "wordmask.methods.clipseg:load_clipseg",  # variants that transformers cannot read
            },
            file_loader="wordmask.methods.clipseg:load_clipseg",
            trainer="wordmask.methods.clipseg.training:finetune_clipseg",
            presets=(
                _clipseg("clipseg", "CIDAS/clipseg-rd64-refined", "refined head (finer borders), decoder width 64"),
                _clipseg("clipseg-rd64", "CIDAS/clipseg-rd64", "plain head, decoder width 64"),
                _clipseg("clipseg-rd16", "CIDAS/clipseg-rd16", "plain head, decoder width 16: the smallest decoder"),
            ),
        ),
        Method(
            "pmp",
            "text or visual prompt; mask proposals guided by the prompt in every decoder layer, instances",
            loaders={
                "wordmask-pmp": "wordmask.methods.pmp.embedded.weights:load_proposals",
                "wordmask-two-stage": "wordmask.methods.pmp.loading:load_two_stage",
                "wordmask-pmp-host": "wordmask.methods.pmp.loading:load_guided",
            },
            embedded=WEIGHTS / "pmp",
            presets=(
                _two_stage(
                    "two-stage",
                    Part(
                        "host",
                        "facebook/mask2former-swin-small-coco-panoptic",
                        revision="823b60a9dddf1829580505654f6a00b306a65381",
                        bytes=276_000_000,
                        licence="CC-BY-NC-4.0",
                    ),
                    "Mask2Former Swin-S proposes masks of anything, CLIP ViT-B/16 names them",
                ),
                _two_stage(
                    "two-stage-maskformer",
                    Part(
                        "host",
                        "facebook/maskformer-swin-small-coco",
                        revision="59a9b8b7b90e1f887fde5a3746f1d0e434e5d6cf",
                        bytes=253_000_000,
                        licence="other (model card)",
                    ),
                    "the same with MaskFormer Swin-S",
                ),
                _two_stage(
                    "two-stage-eomt",
                    Part(
                        "host",
                        "tue-mps/coco_panoptic_eomt_large_640",
                        revision="dcd130bed9b1ebda7041fd660fddb16f905b9c3b",
                        bytes=1_270_000_000,
                        licence="MIT",
                    ),
                    "the same with EoMT ViT-L, the most accurate and slowest of the three",
                ),
            ),
        ),
        Method(
            "tas",
            "referring expression; proposals scored by image, caption and negative phrases",
            loaders={
                "wordmask-tas-compact": "wordmask.methods.tas:load_tas_compact",
                "wordmask-tas": "wordmask.methods.tas:load_tas",
            },
            embedded=WEIGHTS / "tas",
            presets=(
                _bundle("tas-paper", "SAM ViT-H, CLIP ViT-B/32, BLIP-2: the paper's; words of place as intended"),
                _bundle("tas-released", "the same, with the rules of the authors' code"),
                _bundle("tas-light", "SAM ViT-B, CLIP ViT-B/32, BLIP; small things survive"),
            ),
        ),
        Method(
            "imss",
            "text; boxes first, then high-resolution masks of small targets",
            loaders={
                "wordmask-regions": "wordmask.methods.imss.loader:load_regions",
                "wordmask-imss": "wordmask.methods.imss.embedded:load_embedded_imss",
            },
            embedded=WEIGHTS / "imss",
            presets=(
                _sam("grounded-sam", "facebook/sam-vit-base", 375, "Grounding DINO tiny and SAM ViT-B"),
                _sam("grounded-sam-l", "facebook/sam-vit-large", 1249, "Grounding DINO tiny and SAM ViT-L"),
                _sam("grounded-sam-h", "facebook/sam-vit-huge", 2564, "Grounding DINO tiny and SAM ViT-H"),
                _sam("grounded-sam-hq", "syscv-community/sam-hq-vit-base", 379, "Grounding DINO tiny and SAM-HQ ViT-B"),
                _sam("grounded-sam2", "facebook/sam2.1-hiera-tiny", 156, "Grounding DINO tiny and SAM 2.1 tiny"),
                _sam(
                    "mm-grounded-sam",
                    "facebook/sam-vit-base",
                    375,
                    "MM-Grounding-DINO tiny and SAM ViT-B",
                    detector=MM_GROUNDING_DINO,
                ),
                _sam("owlv2-sam", "facebook/sam-vit-base", 375, "OWLv2 ViT-B and SAM ViT-B", detector=OWLV2),
                _sam("imss-sam-b", "facebook/sam-vit-base", 375, "IMSS on SAM ViT-B; untrained it is plain SAM"),
                _sam("imss-sam-l", "facebook/sam-vit-large", 1249, "IMSS on SAM ViT-L"),
                _sam("imss-sam-h", "facebook/sam-vit-huge", 2564, "IMSS on SAM ViT-H, as in the paper"),
            ),
        ),
    )
}


def known_presets() -> dict[str, Preset]:
    """Return the presets of all methods by name."""
    return {preset.name: preset for method in METHODS.values() for preset in method.presets}


def method_of_type(model_type: object) -> Method | None:
    """Return the method that reads folders of a `model_type`, or None."""
    return next((method for method in METHODS.values() if model_type in method.loaders), None)


def imported(entry: Entry) -> Callable[..., Any]:
    """Return the function of an entry."""
    if callable(entry):
        return entry
    module, _, name = entry.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
