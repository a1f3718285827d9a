"""Recipes: functions that return a complete value. What a run did is this value, written into its folder."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RECIPES", "Recipe", "find_recipe", "finetune", "phrasecut_plus", "usual_values", "with_changes"]

PRECISIONS = ("no", "bf16", "fp16")
FITS = ("model", "squash", "square")
SCHEDULES = ("cosine", "constant")
NORMS = ("frozen", "trained")
DECODERS = ("attention", "deconv")
TOWERS = ("given", "random")
READOUTS = ("computed", "stored")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything a training depends on beside the data and the model that it starts from.

    Attributes:
        name: Of the recipe.
        steps: Updates of the weights.
        batch: Pictures for one update, over all processes and parts.
        accumulate: Parts that a batch is computed in.
        rate, final_rate: Learning rate at the start and at the end.
        warm_up: Steps in which the rate rises from 0.
        schedule: `"cosine"` from `rate` to `final_rate`, or `"constant"`.
        decay: Weight decay of AdamW.
        clip: Longest gradient; 0 = any.
        precision: `"no"` (float32), `"bf16"` or `"fp16"`.
        seed: Of all that is drawn.
        parts: Parts of the model that are trained; () = the method's own choice.
        norms: Whether batch norms keep their statistics (`"frozen"`) or follow the batches.
        dropout: In the trained parts.
        start_share: Share, 0 to 0.95, of the weights that training started from in every model that is measured and
            written: with some of them a model forgets less and learns less (Wortsman et al., arXiv 2109.01903).
            Statistics of batch norms are mixed likewise, which is exact for `"frozen"` ones alone.
        fresh: Whether the decoder starts from random weights, with `decoder`, `channels`, `feedforward`, `refined`
            and `extract_layers`.
        decoder: Of a fresh one: CLIPSeg's with attention (`"attention"`) or CLIP-Deconv's without (`"deconv"`), which
            reads the last of `extract_layers`.
        channels, feedforward, refined, extract_layers: Of a fresh CLIPSeg decoder; `feedforward` is the hidden width of
            its blocks.
        towers: With a fresh decoder: the vision tower as it is `"given"`, or of `"random"` weights that depend on
            `seed` alone ("no CLIP pre-training").
        text_towers: With a fresh decoder on a ViT that knows no words (ViTSeg): the folder or hub id of the CLIP whose
            text tower makes the conditions; "" for a CLIP.
        size: Side of the canvas in pixels; 0 = the model's.
        fit: How a picture fills it: `"squash"`, `"square"` (a window with the picture's proportions), or `"model"`:
            as the model does it.
        crop: Least side of the window that is cut out, as a share of the picture's; 1 = no cutting.
        mirror: Probability of the mirrored picture, with left and right swapped in the phrase.
        colour: Strength of random brightness, contrast and saturation; 0 = none.
        prompts: Phrases for each picture.
        negatives: Probability that a phrase is one known to be absent, where any is known.
        visual: Whether phrases are mixed with examples (PhraseCut+).
        only_visual: Whether phrases that no second sample has, and so no example, are left out.
        engineering: How examples are prepared for the encoder, one of `ops.highlight.MODES` of three channels.
        text_share: Greatest share of the words in that mixture: 0.5 as in the published training files, 1 as in the
            paper's text.
        prefixes: Sentences around the phrases of PhraseCut+, see `data.phrases.PREFIXES`.
        avoid: Synsets of WordNet such as "sofa.n.01" whose phrases are left out of phrasecut's recipes, or names of
            groups of them, see `data.held_out.GROUPS`.
        wordnet: Folder of WordNet's database, needed with `avoid`.
        variants: Views that a picture has: 0 = it is cut, mirrored and coloured anew in every epoch; n = n fixed ones,
            that of epoch e being number e % n. Phrases and examples are drawn anew all the same.
        readouts: Whether what the frozen tower makes of a view is `"computed"` every time, or `"stored"` on disk and
            read from there.
        remember: Whether a frozen text encoder reads each phrase once only: for vocabularies, not for sentences.
        bce, balanced, dice, presence: Weights of the losses.
        holdout: Share of the pictures that is kept for validation where there are no others.
        valid_every: Steps between validations; 0 = none.
        valid_limit: Pictures that a validation looks at.
        save_every: Steps between checkpoints.
        shuffle: Whether the pictures' order is drawn anew in every epoch.
        workers: Processes that read pictures.
    """

    name: str
    steps: int
    batch: int
    rate: float
    final_rate: float
    accumulate: int = 1
    warm_up: int = 0
    schedule: str = "cosine"
    decay: float = 0.01
    clip: float = 0.0
    precision: str = "no"
    seed: int = 0
    parts: tuple[str, ...] = ()
    norms: str = "frozen"
    dropout: float = 0.0
    start_share: float = 0.0
    fresh: bool = False
    decoder: str = "attention"
    towers: str = "given"
    text_towers: str = ""
    channels: int = 64
    feedforward: int = 2048
    refined: bool = False
    extract_layers: tuple[int, ...] = (3, 7, 9)
    size: int = 0
    fit: str = "model"
    crop: float = 1.0
    mirror: float = 0.0
    colour: float = 0.0
    prompts: int = 1
    negatives: float = 0.0
    visual: bool = False
    only_visual: bool = False
    engineering: str = "crop_blur_highlight352"
    text_share: float = 0.5
    prefixes: str = "plain"
    avoid: tuple[str, ...] = ()
    wordnet: str = ""
    variants: int = 0
    readouts: str = "computed"
    remember: bool = True
    bce: float = 1.0
    balanced: float = 0.0
    dice: float = 0.0
    presence: float = 0.0
    holdout: float = 0.0
    valid_every: int = 0
    valid_limit: int = 100
    save_every: int = 100
    shuffle: bool = True
    workers: int = 0

    def __post_init__(self) -> None:
        """Check what a user can get wrong.

        Raises:
            DataError: If a value is of the wrong type or out of range.
        """
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name), field.type)
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                got = f"{name}={quote(getattr(self, name))}"
                raise DataError(sentence(got, f"a number from {low:g} to {high:g}", "change it"))
        for name, choices in {**_CHOICES, "engineering": _engineering()}.items():
            if getattr(self, name) not in choices:
                got = f"{name}={quote(getattr(self, name))}"
                raise DataError(sentence(got, f"one of {', '.join(choices)}", "choose one of these"))
        self._check_together()

    def _check_together(self) -> None:
        """Check values that need one another."""
        if self.batch % self.accumulate:
            got = f"a batch of {self.batch} in {self.accumulate} parts"
            raise DataError(sentence(got, "parts of equal size", "change batch or accumulate"))
        if self.fresh and self.start_share:
            got = f"start_share={quote(self.start_share)} for a decoder that starts from random weights"
            raise DataError(sentence(got, "start_share=0", "leave it out: there is nothing to keep"))
        for name in _FRESH:
            usual = _USUAL[name]
            if not self.fresh and getattr(self, name) != usual:
                got = f"{name}={quote(getattr(self, name))} for a decoder that is trained already"
                raise DataError(sentence(got, f"{name}={quote(usual)}", "leave it out, or add --change fresh=true"))
        if self.avoid and not self.wordnet:
            remedy = "name the folder of its database with --change wordnet=FOLDER"
            raise DataError(sentence("classes to avoid without wordnet", "WordNet to look them up in", remedy))

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        return _plain(dataclasses.asdict(self))

    @staticmethod
    def from_json(values: dict[str, Any]) -> Recipe:
        """Read what `to_json` gave."""
        read: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Recipe(**read)


_MOST = 10.0**9
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("steps", "batch", "accumulate", "prompts", "save_every", "channels", "feedforward", "valid_limit"), (1, _MOST)
    ),
    **dict.fromkeys(("warm_up", "seed", "size", "valid_every", "workers", "clip", "decay", "variants"), (0, _MOST)),
    **dict.fromkeys(("mirror", "negatives", "text_share", "colour"), (0, 1)),
    "start_share": (0, 0.95),
    **dict.fromkeys(("bce", "balanced", "dice", "presence", "rate", "final_rate"), (0, 10.0**4)),
    **dict.fromkeys(("dropout", "holdout"), (0, 0.9)),
    "crop": (0.05, 1),
}
_CHOICES = {
    "precision": PRECISIONS, "fit": FITS, "schedule": SCHEDULES, "norms": NORMS, "decoder": DECODERS, "towers": TOWERS,
    "readouts": READOUTS,
}  # fmt: skip
_USUAL: dict[str, Any] = {
    field.name: field.default for field in dataclasses.fields(Recipe) if field.default is not dataclasses.MISSING
}
_FRESH = ("decoder", "towers", "text_towers", "channels", "feedforward", "refined", "extract_layers")
"""What only a fresh decoder can depart from the usual in."""
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (int, float), "str": (str,), "bool": (bool,),
    "tuple[str, ...]": (tuple,), "tuple[int, ...]": (tuple,),
}  # fmt: skip


def usual_values() -> dict[str, Any]:
    """Return, as plain values, what a recipe does where it does not say it."""
    return _plain(_USUAL)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _engineering() -> tuple[str, ...]:
    """Ways to prepare an example that an encoder of pictures can see."""
    from wordmask.ops.highlight import MODES

    return tuple(mode for mode in MODES if mode != "concat")  # which has four channels


def _check_type(name: str, value: Any, kind: Any) -> None:
    wrong = not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool")
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise DataError(sentence(f"{name}={quote(value)}", f"a value of type {kind}", "change it"))


def finetune() -> Recipe:
    """A model that is there, adapted to pictures of your own: CLIPSeg's decoder, or the embedded network."""
    return Recipe(
        name="finetune", steps=1000, batch=8, rate=3e-4, final_rate=3e-5, warm_up=20, clip=1.0,
        crop=0.6, mirror=0.5, colour=0.3, prompts=3, negatives=0.25,
        bce=1.0, balanced=0.25, dice=1.0, presence=0.5,
        holdout=0.1, valid_every=100, save_every=100,
    )  # fmt: skip


def phrasecut_plus() -> Recipe:
    """CLIPSeg (PC+), D = 64, as in the paper: a fresh decoder on frozen towers (arXiv 2112.10003, section 4).

    AdamW with torch's defaults, cosine from 1e-3 to 1e-4 over 20,000 steps without warm-up, batches of 64, binary
    cross-entropy alone, mixed precision, dropout 0.1. The published code does not shuffle; this does.
    """
    return Recipe(
        name="phrasecut-plus", steps=20_000, batch=64, rate=1e-3, final_rate=1e-4, precision="fp16",
        parts=("decoder",), dropout=0.1, fresh=True, channels=64, extract_layers=(3, 7, 9), size=352, fit="squash",
        negatives=0.2, visual=True, text_share=0.5, prefixes="shuffle+", remember=False,
        valid_every=1000, valid_limit=200, save_every=500, workers=4,
    )  # fmt: skip


def phrasecut() -> Recipe:
    """CLIPSeg (PC): as `phrasecut-plus`, with the bare phrases alone: no negatives and no examples."""
    return dataclasses.replace(phrasecut_plus(), name="phrasecut", negatives=0.0, visual=False, prefixes="plain")


RECIPES: dict[str, Callable[[], Recipe]] = {
    "finetune": finetune,
    "phrasecut-plus": phrasecut_plus,
    "phrasecut": phrasecut,
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        DataError: If there is none.
    """
    if name not in RECIPES:
        raise DataError(sentence(f"the recipe {quote(name)}", f"one of {', '.join(RECIPES)}", "choose one of these"))
    return RECIPES[name]()


def with_changes(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """Return the recipe with some values changed; texts are read as the field's type: "5", "true", "3,7,9".

    Raises:
        DataError: If there is no such field, or the value does not fit.
    """
    kinds = {field.name: str(field.type) for field in dataclasses.fields(recipe)}
    read = {}
    for name, value in changes.items():
        if name not in kinds or name == "name":
            expected = f"one of {', '.join(kind for kind in kinds if kind != 'name')}"
            raise DataError(sentence(f"the recipe's value {quote(name)}", expected, "correct the name"))
        read[name] = _read(name, value, kinds[name]) if isinstance(value, str) else value
    return dataclasses.replace(recipe, **read)


def _read(name: str, text: str, kind: str) -> Any:
    words = [word.strip() for word in text.split(",") if word.strip()]
    readers: dict[str, Callable[[], Any]] = {
        "int": lambda: int(text),
        "float": lambda: float(text),
        "str": lambda: text,
        "bool": lambda: {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()],
        "tuple[str, ...]": lambda: tuple(words),
        "tuple[int, ...]": lambda: tuple(int(word) for word in words),
    }
    try:
        return readers[kind]()
    except (ValueError, KeyError) as error:
        got = f"{name}={quote(text)}"
        raise DataError(sentence(got, f"a value of type {kind}", "change it")) from error
