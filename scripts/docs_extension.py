"""A Markdown extension that puts the command line's help where a page says `<!-- wordmask --help -->`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

if TYPE_CHECKING:
    from markdown import Markdown

PLACEHOLDER = "<!-- wordmask --help -->"


class CommandLineHelp(Preprocessor):
    """Replaces the placeholder by a section for every command."""

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines of a page with the help in the placeholder's place."""
        if PLACEHOLDER not in lines:
            return lines
        place = lines.index(PLACEHOLDER)
        return [*lines[:place], *command_line_help().splitlines(), *lines[place + 1 :]]


class CommandLineExtension(Extension):
    """Registers `CommandLineHelp` before anything else reads the page."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Add the preprocessor to a parser."""
        md.preprocessors.register(CommandLineHelp(md), "command_line_help", priority=100)


def makeExtension() -> CommandLineExtension:
    """Return the extension."""
    return CommandLineExtension()


def command_line_help() -> str:
    """Return the help of every command as Markdown, a command a section."""
    import typer.cli
    from typer.main import get_command

    from wordmask.cli.app import app

    command = get_command(app)
    context = typer.Context(command, info_name="wordmask")
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="wordmask")
    lines = text.splitlines()[1:]  # the page has a title of its own
    return "\n".join(f"    {line}" if line.startswith("wordmask ") else line for line in lines)  # examples as code
