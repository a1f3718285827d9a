"""What is compared: the rows of CLIPSeg's tables 3 and 9, each as changes of one of two recipes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from wordmask.errors import DataError, sentence
from wordmask.train.recipes import Recipe, find_recipe, with_changes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Tower = Literal["clip", "vit"]

EXAMPLES = "crop_blur_highlight"
"""How examples are prepared, for the same pixels as "crop_blur_highlight352" but at the side of our towers."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row.

    Attributes:
        name: Of its folders and in the results.
        title: As the paper calls it.
        base: Recipe that it changes.
        changes: Values of it; with those of the whole experiment they make the recipe.
        tower: Which trained tower it stands on.
    """

    name: str
    title: str
    base: Literal["phrasecut-plus", "phrasecut"] = "phrasecut-plus"
    changes: Mapping[str, Any] = field(default_factory=dict)
    tower: Tower = "clip"

    @property
    def mode(self) -> str:
        """How its examples are prepared, in training and when it is asked."""
        return str(self.changes.get("engineering", EXAMPLES))


VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(name="pc-plus", title="CLIPSeg (PC+)"),
        Variant(name="pc", title="CLIPSeg (PC)", base="phrasecut"),
        Variant(name="d128", title="CLIPSeg (PC, D=128)", base="phrasecut", changes={"channels": 128}),
        Variant(name="d16", title="D=16", changes={"channels": 16}),
        Variant(name="refined", title="refined head", changes={"refined": True}),
        Variant(name="layer3", title="only layer 3", changes={"extract_layers": (3,)}),
        Variant(name="highlight", title="highlight mask", changes={"engineering": "blur_highlight"}),
        Variant(name="no-visual", title="no visual", base="phrasecut", changes={"negatives": 0.2}),
        Variant(name="no-clip", title="no CLIP pre-training", changes={"towers": "random"}),
        Variant(name="deconv", title="CLIP-Deconv", changes={"decoder": "deconv", "extract_layers": (9,)}),
        Variant(name="vitseg", title="ViTSeg (PC+)", tower="vit"),
        Variant(name="negatives-0", title="no negatives", changes={"negatives": 0.0}),
        Variant(name="negatives-50", title="50 % negatives", changes={"negatives": 0.5}),
    )
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all runs of the experiment have in common.

    Attributes:
        steps, batch: As in a recipe.
        rate, final_rate: As in a recipe; the paper's for all variants, also where it lowers them (ViTSeg, no CLIP).
        size: Side of the canvas.
        feedforward, dropout: As in a recipe. The paper has 2048 and 0.1, with which a step takes three times as long.
        precision: As in a recipe.
        save_every: Steps between checkpoints.
    """

    steps: int = 600
    batch: int = 32
    rate: float = 1e-3
    final_rate: float = 1e-4
    size: int = 176
    feedforward: int = 256
    dropout: float = 0.0
    precision: str = "no"
    save_every: int = 200


def missing(variant: Variant) -> tuple[str, ...]:
    """Return fields of the recipe that the variant needs and this version of wordmask has not."""
    known = {item.name for item in dataclasses.fields(Recipe)}
    needed = {*variant.changes, "engineering", "readouts", *(("text_towers",) if variant.tower == "vit" else ())}
    return tuple(sorted(needed - known))


def recipe_of(variant: Variant, seed: int, settings: Settings, *, words: Path) -> Recipe:
    """Return the complete recipe of a run.

    Args:
        variant: What is compared.
        seed: Of the run.
        settings: What all runs have in common.
        words: Folder of the CLIP that phrases are read by.

    Raises:
        DataError: If this version of wordmask lacks a field of it.
    """
    if gone := missing(variant):
        got = f"recipes without {', '.join(gone)}"
        raise DataError(sentence(got, f"what {variant.name} needs", "use a newer wordmask"))
    shared: dict[str, Any] = {
        **dataclasses.asdict(settings), "seed": seed, "valid_every": 0, "workers": 0, "variants": 1,
        "readouts": "stored", "engineering": EXAMPLES,
    }  # fmt: skip
    tower = {"text_towers": str(words)} if variant.tower == "vit" else {}
    return with_changes(find_recipe(variant.base), {**shared, **tower, **variant.changes})
