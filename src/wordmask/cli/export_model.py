"""`wordmask export-model`: a model as ONNX or OpenVINO graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordmask.cli.downloads import announce_download
from wordmask.cli.failures import Debug, errors_as_sentences

if TYPE_CHECKING:
    from wordmask.export import Exported
    from wordmask.export.check import Comparison

_SIZE = "Longer side of the canvas in pixels, a multiple of 32. Default: the model's own."
_IMAGES = "Images, or folders of them, to compare on. Default: samples and drawings."
_CALIBRATE = "Images, or folders of them, that int8 takes its ranges from. Default: samples."


def export_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for segment --model; compact is exportable.")],
    *,
    to: Annotated[str, typer.Option(help="onnx or openvino.")] = "onnx",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A folder. Default: MODEL-onnx.")] = None,
    size: Annotated[int | None, typer.Option(help=_SIZE, show_default=False)] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Most convolutions in int8 (ONNX), if masks stay.")] = False,
    images: Annotated[list[str] | None, typer.Option(help=_IMAGES, show_default=False)] = None,
    calibrate: Annotated[list[str] | None, typer.Option(help=_CALIBRATE, show_default=False)] = None,
    debug: Debug = False,
) -> None:
    """Write a model as graphs of its own for image, text and decoder, and compare their masks with the model's.

    wordmask export-model compact --to onnx --out compact-onnx

    wordmask segment photo.jpg "hair" --model compact-onnx
    """
    with errors_as_sentences(debug):
        from wordmask.cli.sources import expand
        from wordmask.export import export_model as export

        announce_download(model)
        folder = out or Path(f"{Path(model).name}-{to}")
        shown, ranges = (
            [source for source in (expand(names, allow_urls=False)[0] if names else []) if isinstance(source, str)]
            for names in (images, calibrate)
        )
        made = export(model, folder, to=to, size=size, int8=int8, images=shown, calibrate=ranges)
    typer.echo(f"Written to {made.folder}{', image encoder in int8' if made.int8 else ''}")
    if made.note:
        typer.echo(made.note)
    typer.echo("\n".join(_lines(made)))


def _lines(made: Exported) -> list[str]:
    """Return what is told about masks and times."""
    check, rounding = made.check, made.rounding
    lines = [
        f"{check.images} images, {check.prompts} prompts, against the model in float32: {_masks(check)}, largest "
        f"difference of a logit {check.logits:.2g}, of a presence {check.presence:.2g}"
    ]
    if rounding is not None:
        lines.append(f"The model as loaded by default, likewise: {_masks(rounding)}")
    lines.append("One phrase about one image on this machine, and how many times as fast as the eager model:")
    lines.append(f"{'':<20}{'ms':>5}  [lowest, highest]  of the same precision  as loaded by default")
    for row in made.speed:
        extremes = f"[{row.lowest:.0f}, {row.highest:.0f}]"
        lines.append(f"{row.name:<20}{row.ms:5.0f}  {extremes:<17}  {row.same:<21.2f}  {row.default:.2f}")
    return lines


def _masks(check: Comparison) -> str:
    """Return how far masks agree."""
    return (
        f"mean IoU {check.masks_iou:.4f} of {check.masks} masks; absent phrases included, lowest IoU {check.iou:.4f}, "
        f"mean {check.mean_iou:.4f}"
    )
