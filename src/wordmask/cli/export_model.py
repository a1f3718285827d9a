"""`wordmask export-model`: a model as ONNX or OpenVINO graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wordmask.cli.downloads import announce_download
from wordmask.cli.failures import Debug, errors_as_sentences

_IMAGES = "Images, or folders of them, to calibrate int8 and to compare on. Default: samples and drawings."


def export_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As for segment --model; compact is exportable.")],
    *,
    to: Annotated[str, typer.Option(help="onnx or openvino.")] = "onnx",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A folder. Default: MODEL-onnx.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Convolutions in int8 (ONNX), if masks stay the same.")] = False,
    images: Annotated[list[str] | None, typer.Option(help=_IMAGES, show_default=False)] = None,
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
        sources = expand(images, allow_urls=False)[0] if images else []
        folder = out or Path(f"{Path(model).name}-{to}")
        made = export(model, folder, to=to, int8=int8, images=[source for source in sources if isinstance(source, str)])
    check = made.check
    typer.echo(f"Written to {made.folder}{', image encoder in int8' if made.int8 else ''}")
    if made.note:
        typer.echo(made.note)
    typer.echo(
        f"{check.images} images, {check.prompts} prompts: lowest IoU {check.iou:.4f}, largest difference of a logit "
        f"{check.logits:.2g}, of a presence {check.presence:.2g}"
    )
    typer.echo(
        f"One phrase about one image on this machine: {check.eager_ms:.0f} ms eager in float32, "
        f"{check.exported_ms:.0f} ms exported ({check.ratio:.2f} times as fast)"
    )
