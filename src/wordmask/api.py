"""The two functions most people need: `load` a segmenter, `segment` a picture. Importing this module loads no torch."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints import read_json
from wordmask.errors import CheckpointError, ModelNotFoundError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from wordmask.contracts import Segmenter
    from wordmask.prompts import PromptInput
    from wordmask.results import Segmentation

WEIGHTS = Path(__file__).with_name("weights")


@dataclass(frozen=True)
class Method:
    """A published idea that `load` knows by name.

    Attributes:
        name: what the user types.
        summary: one line for people.
        weights: the folder of its embedded weights; None while the method is planned.
    """

    name: str
    summary: str
    weights: Path | None


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("clipseg", "text, visual or mixed prompt; FiLM-conditioned decoder, dense mask", WEIGHTS / "compact"),
        Method("pmp", "text; mask proposals guided by the prompt in every decoder layer", None),
        Method("tas", "referring expression; proposals scored by image, caption and negative phrases", None),
        Method("imss", "text; boxes first, then high-resolution masks of small targets", None),
    )
}
DEFAULT_METHOD = "clipseg"

HUB_CHECKPOINTS: dict[str, str] = {
    "CIDAS/clipseg-rd64-refined": "CLIPSeg, refined head (finer borders), decoder width 64",
    "CIDAS/clipseg-rd64": "CLIPSeg, plain head, decoder width 64",
    "CIDAS/clipseg-rd16": "CLIPSeg, plain head, decoder width 16: the smallest",
}
"""Published checkpoints on the hub that are known to fit, and what each is."""


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
) -> Segmenter:
    """Load a segmenter.

    Args:
        model: None for the embedded weights (no download), a method's name (`"clipseg"`) for the embedded weights of
            that method, a local folder with a `config.json`, an original decoder file (`rd64-uni.pth`), or a hub id
            such as `"CIDAS/clipseg-rd64-refined"`.
        device: `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`; None takes CUDA where there is one, otherwise the CPU.
        dtype: `"float32"`, `"bfloat16"` or `"float16"`; None takes what the device is fast at.
        revision: branch, tag or commit of a hub id. Name a commit where results must be repeatable.

    Raises:
        ModelNotFoundError: nothing has that name; `OfflineError` when it may be on the hub, which does not answer.
        CheckpointError: the files are there but damaged, or of a kind that wordmask does not read.
        DeviceError: this machine lacks the device or the type.
    """
    from wordmask.device import choose_device, choose_dtype

    chosen = choose_device(device)
    folder = find_model(model, revision=revision)
    return _loader(folder)(folder, device=chosen, dtype=choose_dtype(dtype, chosen))


def segment(
    image: Any, prompts: PromptInput, *, model: str | os.PathLike[str] | Segmenter | None = None
) -> Segmentation:
    """Segment one picture with a segmenter that is loaded at the first call and kept.

    Args:
        image: path, `"sample:astronaut"`, PIL image, numpy array, torch tensor, bytes or file object.
        prompts: a phrase, a prompt, or a list of them.
        model: as for `load`, or a segmenter that is loaded already.

    Raises:
        WordmaskError: see `load`, `ImageError` and `PromptError`.
    """
    if model is None or isinstance(model, str | os.PathLike):
        return _kept(None if model is None else os.fsdecode(model)).segment(image, prompts)
    if not callable(getattr(model, "segment", None)):
        raise ModelNotFoundError(_no_name(model))
    return model.segment(image, prompts)


def find_model(model: str | os.PathLike[str] | None = None, *, revision: str | None = None) -> Path:
    """Return the local folder (or single weight file) that `model` stands for, fetching it from the hub if it must.

    Raises:
        ModelNotFoundError: nothing has that name, or it is no name at all.
    """
    if not (model is None or isinstance(model, str | os.PathLike)):
        raise ModelNotFoundError(_no_name(model))
    name = DEFAULT_METHOD if model is None else os.fsdecode(model)
    local = Path(os.path.expanduser(name))
    is_local = bool(name) and os.path.exists(local)
    is_hub_id = name not in METHODS and not is_local and _looks_like_hub_id(name)
    if revision is not None and not is_hub_id:
        got = f"revision {quote(revision)} for {quote(name)}"
        raise ModelNotFoundError(sentence(got, "a hub id such as 'CIDAS/clipseg-rd64-refined'", "leave revision out"))
    if name in METHODS:
        return _embedded(METHODS[name])
    if is_local:
        return _trained(local)
    if is_hub_id:
        return _fetched(name, revision)
    raise ModelNotFoundError(_missing_folder(name) if _looks_local(name) else _unknown(name))


def _trained(local: Path) -> Path:
    """The best weights of a folder that `wordmask train` wrote; any other path as it is."""
    is_run = (local / "run.json").is_file() and (local / "best").is_dir()
    return local / "best" if is_run else local


def _fetched(name: str, revision: str | None) -> Path:
    """Fetch a hub id; where its owner is also a folder here, an error speaks of the missing folder first."""
    from wordmask.backbones.hub import fetch_checkpoint

    try:
        return fetch_checkpoint(name, revision=revision)
    except ModelNotFoundError as error:
        if name in HUB_CHECKPOINTS or revision is not None or not _looks_local(name):
            raise
        raise type(error)(_missing_folder(name)) from error


@lru_cache(maxsize=1)
def _kept(model: str | None) -> Segmenter:
    return load(model)


def _embedded(method: Method) -> Path:
    if method.weights is not None and method.weights.is_dir():
        return method.weights
    ready = ", ".join(repr(m.name) for m in METHODS.values() if m.weights is not None)
    raise ModelNotFoundError(
        sentence(
            f"the method {quote(method.name)}, which is planned and not built yet",
            f"one that is there ({ready})",
            "use that, a local folder or a hub id; `wordmask models` lists them",
        )
        if method.weights is None
        else sentence(
            f"no embedded weights at {quote(method.weights)}",
            "the folder that comes with the package",
            "install wordmask again, or give a local folder or a hub id",
        )
    )


def _looks_like_hub_id(name: str) -> bool:
    owner, _, rest = name.partition("/")
    return bool(owner.strip(".~") and rest) and "/" not in rest and "\\" not in name


def _looks_local(name: str) -> bool:
    """Whether a name is written like a path, or names something in a folder that is there."""
    parent = os.path.dirname(os.path.expanduser(name))
    return name.startswith((".", "~", os.sep)) or "\\" in name or (bool(parent) and os.path.isdir(parent))


def _no_name(model: object) -> str:
    got = f"a model of type {type(model).__name__}"
    return sentence(got, "None, a name, a path or a loaded segmenter", "pass a string such as 'clipseg'")


def _missing_folder(name: str) -> str:
    ready = ", ".join(repr(m.name) for m in METHODS.values() if m.weights is not None)
    return sentence(
        f"the model folder {quote(name)}, which does not exist",
        f"an existing local folder, a method ({ready}) or a hub id such as 'CIDAS/clipseg-rd64-refined'",
        "check the path; if a hub id is meant, its spelling and the network (`wordmask models` lists known ones)",
    )


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*METHODS, *HUB_CHECKPOINTS], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    ready = ", ".join(repr(m.name) for m in METHODS.values() if m.weights is not None)
    return sentence(
        f"the model {quote(name)}",
        f"a method ({ready}), an existing local folder or a hub id such as 'CIDAS/clipseg-rd64-refined'",
        f"{hint}`wordmask models` lists what there is",
    )


def _load_clipseg(folder: Path, *, device: torch.device, dtype: torch.dtype) -> Segmenter:
    from wordmask.methods.clipseg import load_clipseg

    return load_clipseg(folder, device=device, dtype=dtype)


def _load_decoder(file: Path, *, device: torch.device, dtype: torch.dtype) -> Segmenter:
    """An original decoder file brings no CLIP: take the one beside it, the one named there, or the published one."""
    from wordmask.methods.clipseg import load_clipseg

    beside = file.parent
    is_clip = (beside / "config.json").is_file() and "towers" not in read_json(beside / "config.json")
    towers = beside if is_clip else None  # None: what config.json names, or the published one
    return load_clipseg(file, device=device, dtype=dtype, towers=towers)


def _load_compact(folder: Path, *, device: torch.device, dtype: torch.dtype) -> Segmenter:
    from wordmask.methods.compact import load_compact

    return load_compact(folder, device=device, dtype=dtype)


_LOADERS: dict[str, Callable[..., Segmenter]] = {
    "clipseg": _load_clipseg,
    "wordmask-clipseg": _load_clipseg,  # its variants, which transformers cannot read
    "wordmask-compact": _load_compact,
}
"""The `model_type` of a folder's config.json, and who reads such a folder."""


def _loader(path: Path) -> Callable[..., Segmenter]:
    """Choose the reader by the folder's own statement; a single weight file is an original CLIPSeg decoder."""
    if path.is_file():
        return _load_decoder
    kind = read_json(path / "config.json").get("model_type")
    if isinstance(kind, str) and kind in _LOADERS:
        return _LOADERS[kind]
    got = f"model_type {quote(kind)} in {quote(path / 'config.json')}"
    known = " or ".join(repr(name) for name in _LOADERS)
    raise CheckpointError(sentence(got, known, "give the folder of a model that wordmask reads"))
