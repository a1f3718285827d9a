"""`wordmask segment`: images and phrases in, masks out."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordmask.addresses import is_address
from wordmask.cli.addresses import read_image
from wordmask.cli.downloads import announce_download
from wordmask.cli.explanations import explained_text, write_explanations
from wordmask.cli.failures import SOME_FAILED, Debug, errors_as_sentences, print_error
from wordmask.cli.interruption import INTERRUPTED, TERMINATED, Terminated, termination_raises, uninterrupted
from wordmask.cli.printed import escaped
from wordmask.cli.sources import Source, expand, label, split_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wordmask.cli.output import Destination
    from wordmask.contracts import Segmenter
    from wordmask.prompts import Prompt
    from wordmask.results import Segmentation

_IMAGE = "A path, a folder, a quoted glob, sample:astronaut (chelsea, coffee), or - for standard input."
_PROMPTS = "The phrases to find. With -p, these are further images instead."
_MODEL = (
    "A method or preset (compact, clipseg), a local folder, or a hub id such as CIDAS/clipseg-rd64-refined. "
    "Default: compact, the embedded weights."
)
_OUT = (
    "A folder for everything, a .png (.jpg, .webp) file for the overlay only, or a .json file for the COCO annotations "
    "only. "
    "Default: the folder 'segmented'; with --json, no files."
)
_ON_EXISTING = (
    "What to do with images that have results in --out: append phrases (renewing those that are there), replace all "
    "that is there about the image, or skip the image where every phrase is there."
)
_REFINE = "Redraw masks at the image's own resolution, whatever the model. Default: the model's."
_PLACE = (
    'Whose left and right phrases mean ("the second cup from the left"): viewer or subject; auto: the viewer\'s, but '
    "parts such as a left eye have their own; off: phrases are not read."
)
_EXPLAIN = "Print what was scored for each phrase and why, and draw it (NAME.explain-PHRASE.png)."
_LEGEND = "Labels below the image in overlays, or on it. Default: below where they would hide what they name."
_URLS = "Read images from http and https addresses: at most 50 MB and 30 seconds each, never from private networks."
_CACHE = "A folder in which image features are kept: new phrases of known images encode nothing."
_COLOUR = "Colour of a phrase in overlays: hair=#ff8800. Can be repeated."


def segment(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help=_IMAGE, show_default=False)],
    words: Annotated[list[str] | None, typer.Argument(metavar="PROMPT", help=_PROMPTS, show_default=False)] = None,
    *,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="A phrase; repeat it for more.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=_MODEL, show_default=False)] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 (CUDA), or auto.")] = "auto",
    out: Annotated[str | None, typer.Option("--out", "-o", help=_OUT, show_default=False)] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Probability above which a pixel belongs to a mask. Default: the model's."),
    ] = None,
    presence_threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Presence below which a mask is empty; 0 never. Default: the model's."),
    ] = None,
    refine: Annotated[bool | None, typer.Option("--refine/--no-refine", help=_REFINE, show_default=False)] = None,
    cache: Annotated[Path | None, typer.Option(help=_CACHE, show_default=False)] = None,
    place: Annotated[str, typer.Option(help=_PLACE)] = "auto",
    explain: Annotated[bool, typer.Option("--explain", help=_EXPLAIN)] = False,
    on_existing: Annotated[str, typer.Option(help=_ON_EXISTING)] = "append",
    legend: Annotated[bool | None, typer.Option("--legend/--no-legend", help=_LEGEND, show_default=False)] = None,
    opacity: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the colour in overlays.")] = 0.38,
    label_size: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Of labels in overlays, times the usual; 0 for none.")
    ] = 1.0,
    colour: Annotated[list[str] | None, typer.Option("--colour", "--color", help=_COLOUR, show_default=False)] = None,
    hide_missing: Annotated[bool, typer.Option("--hide-missing", help="No label for what was not found.")] = False,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help=_URLS)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per image, nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Debug = False,
) -> None:
    """Find what phrases name in one image or many, and write overlays, masks and COCO annotations.

    wordmask segment photo.jpg "left eye" "hair"

    wordmask segment *.jpg -p "left eye" -p "hair" --out found

    A phrase that starts with a dash goes behind -- or into --prompt="-phrase".
    """
    from wordmask.prompts import as_prompts, distinct_prompts

    with errors_as_sentences(debug):
        images, phrases = split_words([image, *(words or [])], prompt or [])
        prompts, _ = distinct_prompts(as_prompts(phrases))
        sources, errors = expand(images, allow_urls=allow_urls)
        from wordmask.cli.output import Destination
        from wordmask.cli.overlay_options import overlay_style

        style = overlay_style(legend, opacity, label_size, colour or [], hide_missing)
        destination = Destination.choose(
            out, images=sources, write_nothing=as_json, on_existing=on_existing, style=style
        )
        from wordmask.api import load

        announce_download(model)
        kept = {} if cache is None else {"cache": cache}
        segmenter = load(model, device=device, dtype=dtype, revision=revision, refine=refine, **kept)
        options = {"threshold": threshold, "presence_threshold": presence_threshold} | place_options(place, segmenter)
        run = _Run(segmenter, prompts, options, destination, as_json, quiet, explain, failed=len(errors))
        run.segment_and_write(sources)
    if destination.written and not (quiet or as_json):
        typer.echo(destination.summary())
    if run.failed:
        raise typer.Exit(SOME_FAILED)


def place_options(place: str, segmenter: Segmenter) -> dict[str, Any]:
    """Return the option `place` for a segmenter, nothing for one that does not take it.

    Raises:
        PromptError: If there is no such place.
    """
    from wordmask.components.place.prompts import check_place

    check_place(place)
    return {"place": place} if hasattr(segmenter, "understands_place") else {}


@dataclass
class _Run:
    """One pass over the images.

    Attributes:
        options: Further arguments of `segment`.
        failed: Number of images, or arguments that should have named some, that could not be read.
    """

    segmenter: Segmenter
    prompts: tuple[Prompt, ...]
    options: dict[str, Any]
    destination: Destination
    as_json: bool
    quiet: bool
    explain: bool
    failed: int = 0
    done: int = 0

    def segment_and_write(self, sources: Sequence[Source]) -> None:
        """Segment all images, and write the annotations of those that are done, however it ends.

        Raises:
            typer.Exit: The run was interrupted.
            WordmaskError: As `segment_all`, or the annotations cannot be written.
        """
        try:
            with termination_raises():
                self.segment_all(sources)
        except (KeyboardInterrupt, Terminated) as end:
            self._finish()
            typer.echo(f"Interrupted after {self.done} of {len(sources)} images; their results are complete", err=True)
            raise typer.Exit(INTERRUPTED if isinstance(end, KeyboardInterrupt) else TERMINATED) from None
        finally:
            self._finish()

    def _finish(self) -> None:
        with contextlib.nullcontext() if self.destination.may_block else uninterrupted():
            self.destination.finish()

    def segment_all(self, sources: Sequence[Source]) -> None:
        """Segment, write and print image by image.

        Raises:
            ImageError: The only image cannot be read; of several, the errors are printed and counted.
            WordmaskError: What is not one image's fault, such as a full disk.
        """
        from wordmask.errors import ImageError

        alone = len(sources) == 1 and not self.failed
        for source in _with_progress(sources, hidden=self.quiet):
            try:
                self._segment(source)
            except ImageError as error:
                if alone:
                    raise
                print_error(error)
                self.failed += 1

    def _segment(self, source: Source) -> None:
        if self.destination.is_done(source, [prompt.name for prompt in self.prompts]):
            if not (self.as_json or self.quiet):
                typer.echo(f"{escaped(label(source))}: skipped, its results are there")
            return
        image = read_image(source) if isinstance(source, str) and is_address(source) else source
        result = self.segmenter.segment(image, self.prompts, **self.options)
        files = self.destination.write(result, label(source))
        if self.explain:
            files += write_explanations(result, files)
        self.done += 1
        self._print(result, label(source), files)

    def _print(self, result: Segmentation, name: str, files: list[Path]) -> None:
        from wordmask.cli.output import json_line, text_lines

        if self.as_json:
            typer.echo(json_line(result, name, files, explain=self.explain))
        elif not self.quiet:
            typer.echo(text_lines(result, name))
            if self.explain:
                typer.echo(explained_text(result))


def _with_progress(sources: Sequence[Source], *, hidden: bool) -> Iterator[Source]:
    """Yield the sources under a progress bar on standard error when there are several and it is a terminal."""
    if hidden or len(sources) < 2:
        yield from sources
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from sources
        return
    # Redirected, standard output would end up above the bar, on standard error: right on a terminal, wrong in a pipe.
    with Progress(console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as progress:
        yield from progress.track(sources, description="Segmenting")
