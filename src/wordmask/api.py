"""Load segmenters and segment images. Importing this module loads no torch."""

from __future__ import annotations

import difflib
import os
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints import read_json
from wordmask.checkpoints.bundles import open_parts
from wordmask.checkpoints.files import WEIGHT_FILES
from wordmask.errors import CheckpointError, ModelNotFoundError, OfflineError, quote, sentence
from wordmask.methods.table import METHODS, Method, Preset, imported, known_presets, method_of_type

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from wordmask.checkpoints.bundles import Part
    from wordmask.contracts import Segmenter
    from wordmask.prompts import PromptInput
    from wordmask.results import Segmentation

__all__ = ["DEFAULT_METHOD", "METHODS", "find_model", "load", "method_of", "missing_parts", "segment"]

DEFAULT_METHOD = "compact"


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    refine: bool | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Segmenter:
    """Load a segmenter.

    Args:
        model: None for the embedded weights (`"compact"`, no download), the name of a method or preset (`"clipseg"`),
            a local folder with a `config.json` (one network, or a bundle of parts), an original decoder file
            (`rd64-uni.pth`), or a hub id such as `"CIDAS/clipseg-rd64-refined"`.
        device: `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`; None takes CUDA where there is one, otherwise the CPU.
        dtype: `"float32"`, `"bfloat16"` or `"float16"`; None takes what the device is fast at.
        revision: Branch, tag or commit of a hub id. Name a commit where results must be repeatable.
        refine: Whether masks are redrawn at the image's own resolution, whatever the method; None takes the model's
            default.
        cache: Folder in which image features are kept, rounded to float16: of an image that was seen before, in this
            run or another, nothing is encoded again (`components.cached_segmenter`).

    Raises:
        ModelNotFoundError: Nothing has that name; `OfflineError` when it may be on the hub, which does not answer.
        CheckpointError: The files are there but damaged, or of a kind that wordmask does not read.
        DeviceError: This machine lacks the device or the type.
    """
    if not _is_fetched(model):
        method_of(find_model(model, revision=revision))  # tells a wrong name before torch is imported, in seconds
    from wordmask.device import choose_device, choose_dtype

    chosen = choose_device(device)  # tells a wrong device before anything is downloaded
    folder = find_model(model, revision=revision)
    segmenter: Segmenter = _loader(folder)(folder, device=chosen, dtype=choose_dtype(dtype, chosen))
    if refine is not None:
        segmenter.refines = refine  # type: ignore[attr-defined]
    return segmenter if cache is None else _cached(segmenter, folder, Path(cache))


def _cached(segmenter: Segmenter, folder: Path, cache: Path) -> Segmenter:
    from wordmask.backbones.hub import fetch_checkpoint
    from wordmask.checkpoints.fingerprint import fingerprint
    from wordmask.components.cached_segmenter import DEFAULT_LIMIT, CachedSegmenter
    from wordmask.components.feature_cache import FeatureCache

    kept = FeatureCache(cache, limit=DEFAULT_LIMIT)
    return CachedSegmenter(segmenter, kept, fingerprint(folder, fetch=fetch_checkpoint))


def segment(
    image: Any,
    prompts: PromptInput,
    *,
    model: str | os.PathLike[str] | Segmenter | None = None,
    threshold: float | None = None,
    presence_threshold: float | None = None,
    refine: bool | None = None,
    place: str | None = None,
) -> Segmentation:
    """Segment one image with a segmenter that is loaded at the first call and kept.

    Args:
        image: Path, `"sample:astronaut"`, PIL image, NumPy array, torch tensor, bytes or file object.
        prompts: A phrase, a prompt, or a list of them.
        model: As for `load`, or a segmenter that is loaded already.
        threshold: Probability above which a pixel belongs to a mask; None takes the model's.
        presence_threshold: Presence below which a mask is empty; None takes the model's.
        refine: Whether masks are redrawn at the image's own resolution; None takes the model's default.
        place: How words of place are read ("the second cup from the left"): `"auto"`, the default, `"viewer"` or
            `"subject"` for whose left and right are meant, `"off"` for phrases as they are.

    Raises:
        WordmaskError: See `load`, `ImageError` and `PromptError`.
    """
    segmenter: Any = model
    if model is None or isinstance(model, str | os.PathLike):
        segmenter = _kept(None if model is None else os.fsdecode(model))
    elif not callable(getattr(model, "segment", None)):
        raise ModelNotFoundError(_no_name(model))
    options: dict[str, Any] = {} if refine is None else {"refine": refine}
    options |= {} if place is None else {"place": place}
    result: Segmentation = segmenter.segment(
        image, prompts, threshold=threshold, presence_threshold=presence_threshold, **options
    )
    return result


def find_model(model: str | os.PathLike[str] | None = None, *, revision: str | None = None) -> Path:
    """Return the local folder (or single weight file) that `model` stands for, fetching it from the hub if it must.

    The parts of a bundle are fetched when it is loaded.

    Raises:
        ModelNotFoundError: Nothing has that name, or it is no name at all.
    """
    if not (model is None or isinstance(model, str | os.PathLike)):
        raise ModelNotFoundError(_no_name(model))
    name = DEFAULT_METHOD if model is None else os.fsdecode(model)
    local = Path(os.path.expanduser(name))
    is_name = name in METHODS or name in known_presets()
    is_local = not is_name and bool(name) and os.path.exists(local)
    is_hub_id = not is_name and not is_local and _looks_like_hub_id(name)
    if revision is not None and not is_hub_id:
        got = f"revision {quote(revision)} for {quote(name)}"
        raise ModelNotFoundError(sentence(got, "a hub id such as 'CIDAS/clipseg-rd64-refined'", "leave revision out"))
    if is_name:
        return _named(name)
    if is_local:
        return _trained(local)
    if is_hub_id:
        return _fetched(name, revision)
    raise ModelNotFoundError(_missing_folder(name) if _looks_local(name) else _unknown(name))


def method_of(path: Path) -> Method:
    """Return the method that reads a local model.

    Args:
        path: What `find_model` returned: a folder whose config.json says its `model_type`, or a single weight file,
            which is an original CLIPSeg decoder.

    Raises:
        CheckpointError: If no method reads it.
    """
    if path.is_file():
        _refuse_part_of_folder(path)
        return next(method for method in METHODS.values() if method.file_loader is not None)
    kind = read_json(path / "config.json").get("model_type")
    method = method_of_type(kind) if isinstance(kind, str) else None
    if method is None:
        known = " or ".join(repr(name) for method in METHODS.values() for name in method.loaders)
        got = f"model_type {quote(kind)} in {quote(path / 'config.json')}"
        raise CheckpointError(sentence(got, known, "give the folder of a model that wordmask reads"))
    return method


def _is_fetched(model: object) -> bool:
    """Whether a model may come from the hub."""
    if not isinstance(model, str | os.PathLike):
        return False
    name = os.fsdecode(model)
    return name in known_presets() or (_looks_like_hub_id(name) and not os.path.exists(os.path.expanduser(name)))


def _refuse_part_of_folder(path: Path) -> None:
    """Check that a single file is not the weights of a folder that is a model as a whole."""
    if path.name not in WEIGHT_FILES or not (path.parent / "config.json").is_file():
        return
    config = read_json(path.parent / "config.json")
    kind = config.get("model_type")
    if isinstance(kind, str) and method_of_type(kind) and "weights" not in config:
        got = f"the file {quote(path)} of the model in {quote(path.parent)}"
        raise CheckpointError(sentence(got, "the folder, which holds its config and tokenizer too", "give the folder"))


def missing_parts(model: str | os.PathLike[str] | None) -> tuple[Part, ...]:
    """Return the parts of a preset that loading it would download; () for everything else. Asks no network."""
    preset = known_presets().get(os.fsdecode(model)) if isinstance(model, str | os.PathLike) else None
    if preset is None:
        return ()
    from wordmask.backbones.hub import is_cached

    return tuple(part for part in preset.parts if part.hub and not is_cached(part.hub, revision=part.revision))


def _named(name: str) -> Path:
    """The folder of a method's embedded weights, or of a preset."""
    method, preset = METHODS.get(name), known_presets().get(name)
    if method and method.embedded and method.embedded.is_dir():
        return method.embedded
    if preset:
        return _preset(preset)
    assert method is not None
    raise ModelNotFoundError(_nothing_to_load(method))


def _preset(preset: Preset) -> Path:
    if preset.folder is not None:
        return preset.folder
    from wordmask.backbones.hub import fetch_checkpoint

    part = preset.parts[0]
    try:
        return fetch_checkpoint(str(part.hub), revision=part.revision)
    except OfflineError as error:
        got = f"the model {quote(preset.name)} ({part.hub}), not in the local cache, and no answer from the hub"
        remedy = "connect to the network (and unset HF_HUB_OFFLINE), or load 'compact', the weights in the package"
        raise OfflineError(sentence(got, "one or the other", remedy)) from error


def _loader(path: Path) -> Callable[..., Any]:
    """Choose the function that reads a local model."""
    method = method_of(path)
    if path.is_file() and method.file_loader is not None:
        return imported(method.file_loader)
    config = read_json(path / "config.json")
    function = imported(method.loaders[config["model_type"]])
    if "parts" not in config:
        return function
    from wordmask.backbones.hub import fetch_checkpoint

    return partial(function, parts=open_parts(path, fetch=fetch_checkpoint))


def _trained(local: Path) -> Path:
    """The best weights of a folder that `wordmask train` wrote; any other path as it is."""
    is_run = (local / "run.json").is_file() and (local / "best").is_dir()
    return local / "best" if is_run else local


def _fetched(name: str, revision: str | None) -> Path:
    """Fetch a hub id; where its owner is also a local folder, an error names the missing folder first."""
    from wordmask.backbones.hub import fetch_checkpoint

    try:
        return fetch_checkpoint(name, revision=revision)
    except ModelNotFoundError as error:
        if revision is not None or not _looks_local(name):
            raise
        raise type(error)(_missing_folder(name)) from error


@lru_cache(maxsize=1)
def _kept(model: str | None) -> Segmenter:
    return load(model)


def _nothing_to_load(method: Method) -> str:
    if method.planned:
        got = f"the method {quote(method.name)}, which is planned and not built yet"
        remedy = "use that, a local folder or a hub id; `wordmask models` lists them"
        return sentence(got, f"one that is there ({_ready()})", remedy)
    if method.embedded is None:
        presets = " or ".join(repr(preset.name) for preset in method.presets)
        got = f"the method {quote(method.name)}, which has no weights in the package"
        return sentence(got, presets or "a local folder", "load one of these, a local folder or a hub id")
    got = f"no embedded weights at {quote(method.embedded)}"
    remedy = "install wordmask again, or give a local folder or a hub id"
    return sentence(got, "the folder that comes with the package", remedy)


def _ready() -> str:
    names = [method.name for method in METHODS.values() if not method.planned] + list(known_presets())
    return ", ".join(repr(name) for name in dict.fromkeys(names))


def _looks_like_hub_id(name: str) -> bool:
    owner, _, rest = name.partition("/")
    return bool(owner.strip(".~") and rest) and "/" not in rest and "\\" not in name


def _looks_local(name: str) -> bool:
    """Whether a name is written like a path, or names something in a folder that is there."""
    parent = os.path.dirname(os.path.expanduser(name))
    return name.startswith((".", "~", os.sep)) or "\\" in name or (bool(parent) and os.path.isdir(parent))


def _no_name(model: object) -> str:
    got = f"a model of type {type(model).__name__}"
    return sentence(got, "None, a name, a path or a loaded segmenter", "pass a string such as 'compact'")


def _missing_folder(name: str) -> str:
    return sentence(
        f"the model folder {quote(name)}, which does not exist",
        f"an existing local folder, a method ({_ready()}) or a hub id such as 'CIDAS/clipseg-rd64-refined'",
        "check the path; if a hub id is meant, its spelling and the network (`wordmask models` lists known ones)",
    )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*METHODS, *known_presets()], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return sentence(
        f"the model {quote(name)}",
        f"a method ({_ready()}), an existing local folder or a hub id such as 'CIDAS/clipseg-rd64-refined'",
        f"{hint}`wordmask models` lists what there is",
    )
