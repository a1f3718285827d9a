"""Events of a job as a progress bar, as JSON lines, or as a few sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from wordmask.cli.failures import print_error
from wordmask.cli.printed import escaped, escaped_json
from wordmask.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["JobEvents"]


class JobEvents:
    """Shows what a job reports.

    Args:
        as_json: One JSON object a line on standard output, nothing else.
        quiet: Errors only.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json, self.quiet = as_json, quiet
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> JobEvents:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        if console.is_terminal and not (self.as_json or self.quiet):
            columns = ("Annotating", BarColumn(), "{task.completed}/{task.total}", TextColumn("{task.fields[speed]}"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=None, speed="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(self, event: str, facts: dict[str, Any]) -> None:
        """Show one event of `annotate.job.run_job`."""
        if self.as_json:
            self._print_json({"event": event, **facts})
        elif event == "bad":
            print_error(ImageError(escaped(facts["error"])))
        elif event == "batch" and self._bar is not None:
            speed = f"{facts['images_per_second']:.1f} images/s"
            self._bar.update(self._task, completed=facts["passed"], total=facts["total"], speed=speed)
        elif event == "end" and not self.quiet:
            typer.echo(_summary(facts))

    def merged(self, shards: int) -> None:
        """Show that shards were joined."""
        if self.as_json:
            self._print_json({"event": "merged", "shards": shards})
        elif not self.quiet:
            typer.echo(f"Merged {shards} shards")

    def exported(self, files: Sequence[Path]) -> None:
        """Show what was written."""
        if self.as_json:
            self._print_json({"event": "exported", "files": [str(path) for path in files]})
        elif not self.quiet:
            for path in files:
                typer.echo(f"Wrote {escaped(str(path))}")

    def note(self, text: str) -> None:
        """Show a sentence."""
        if not (self.as_json or self.quiet):
            typer.echo(text)

    def _print_json(self, facts: dict[str, Any]) -> None:
        typer.echo(escaped_json(json.dumps(facts, ensure_ascii=False)))


def _summary(facts: dict[str, Any]) -> str:
    known = f", {facts['known']} known before" if facts["known"] else ""
    copies = f" ({facts['copies']} copies of others)" if facts["copies"] else ""
    bad = f", {facts['bad']} refused (see quarantine.jsonl)" if facts["bad"] else ""
    speed = f", {facts['images_per_second']:.1f} images/s" if facts["done"] else ""
    return f"{facts['total']} images: {facts['done']} annotated{copies}{known}{bad}{speed}"
