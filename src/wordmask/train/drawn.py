"""Data whose phrases are drawn as for PhraseCut+: what the recipes `phrasecut` and `phrasecut-plus` are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.data.sampling.held_out import WithoutClasses, expand
from wordmask.data.sampling.phrase_draws import PhraseDraws
from wordmask.data.sampling.phrase_samples import SamplePhrases
from wordmask.data.sampling.phrases import ClassFilter, read_wordnet
from wordmask.data.sets.phrasecut_plus import PhraseCutPlus
from wordmask.errors import DataError, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wordmask.contracts import Dataset
    from wordmask.data.sampling.phrase_samples import Listed
    from wordmask.train.recipes import Recipe

__all__ = ["draws_phrases", "is_phrasecut", "phrasecut_draws", "sample_draws", "without_classes"]


def draws_phrases(recipe: Recipe) -> bool:
    """Whether a recipe draws one phrase a picture, with negatives and examples."""
    return recipe.name.startswith("phrasecut")


def is_phrasecut(path: Path, dataset: str | None) -> bool:
    """Whether data are PhraseCut's own files."""
    return dataset == "phrasecut" or (dataset is None and (path / "image_data_split.json").is_file())


def phrasecut_draws(path: Path, split: str, recipe: Recipe) -> PhraseDraws:
    """Open PhraseCut's files for training.

    Raises:
        DataError: If files are missing or malformed, or no phrase is left.
    """
    return PhraseCutPlus(path, split=split, **_options(recipe))


def sample_draws(dataset: Dataset, usable: Iterable[int], recipe: Recipe, listed: Mapping[int, Listed]) -> PhraseDraws:
    """Return any other data set for training.

    Args:
        dataset: The data set.
        usable: Samples that are trained on.
        recipe: What is drawn.
        listed: Words of the samples that were read already.

    Raises:
        DataError: If no phrase is left.
    """
    return PhraseDraws(SamplePhrases(dataset, usable, listed=listed), **_options(recipe))


def without_classes(dataset: Dataset, recipe: Recipe) -> Dataset:
    """Return data for validation without the classes that the training does not see: they choose no weights."""
    avoid = expand(recipe.avoid)
    if not avoid:
        return dataset
    return WithoutClasses(dataset, avoid, ClassFilter(avoid, read_wordnet(Path(recipe.wordnet))))


def _options(recipe: Recipe) -> dict[str, Any]:
    if not recipe.size:
        remedy = "write for example --change size=352"
        raise DataError(sentence("size=0 for phrases that are drawn", "the side of the samples in pixels", remedy))
    return {
        "seed": recipe.seed,
        "size": recipe.size,
        "negatives": recipe.negatives,
        "visual": recipe.visual,
        "only_visual": recipe.only_visual,
        "text_weight": (0.0, recipe.text_share),
        "prefixes": recipe.prefixes,
        "mode": recipe.engineering,
        "avoid": expand(recipe.avoid),
        "lexicon": read_wordnet(Path(recipe.wordnet)) if recipe.avoid else None,
    }
