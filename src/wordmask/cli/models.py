"""`wordmask models`: what is in the package, what is planned, and what a hub offers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from wordmask.cli.failures import Debug, one_sentence


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    debug: Debug = False,
) -> None:
    """List the methods, the embedded weights and the known checkpoints on the hub. Needs no network."""
    from wordmask.api import HUB_CHECKPOINTS, METHODS
    from wordmask.backbones.hub import is_cached

    with one_sentence(debug):
        methods = [
            {
                "name": method.name,
                "summary": method.summary,
                "planned": method.weights is None,
                "embedded": _embedded(method.weights),
            }
            for method in METHODS.values()
        ]
        hub = [
            {"name": name, "summary": summary, "cached": is_cached(name)} for name, summary in HUB_CHECKPOINTS.items()
        ]
    if as_json:
        typer.echo(json.dumps({"methods": methods, "hub": hub}, ensure_ascii=False))
    else:
        _print_tables(methods, hub)


def _embedded(folder: Path | None) -> dict[str, Any] | None:
    """Describe a folder of embedded weights by its files and its `card.json`; None where there is none."""
    if folder is None or not (folder / "config.json").is_file():
        return None
    facts = folder / "card.json"
    card = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return {
        "bytes": size,
        "trained_on": card.get("trained_on", []),
        "quality": card.get("quality", {}),
        "terms": card.get("terms"),
        "folder": str(folder),
    }


def _print_tables(methods: list[dict[str, Any]], hub: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("method", "weights in the package", "prompt and idea", title="Methods", title_justify="left")
    for method in methods:
        table.add_row(method["name"], _weights_text(method), method["summary"])
    console.print(table)
    for method in methods:
        if method["embedded"]:
            _print_card(console, method["name"], method["embedded"])
    table = Table("hub id", "on this machine", "what it is", title="Known hub checkpoints", title_justify="left")
    for checkpoint in hub:
        table.add_row(checkpoint["name"], "yes" if checkpoint["cached"] else "no", checkpoint["summary"])
    console.print(table)
    console.print('Use one: wordmask segment photo.jpg "left eye" --model NAME (or the path of a local folder)')


def _weights_text(method: dict[str, Any]) -> str:
    if method["planned"]:
        return "planned"
    return f"{method['embedded']['bytes'] / 1e6:.1f} MB" if method["embedded"] else "missing"


def _print_card(console: Any, name: str, embedded: dict[str, Any]) -> None:
    console.print(f"Embedded weights of {name}")
    for what in embedded["trained_on"]:
        console.print(f"  trained on {what}", soft_wrap=True)
    if embedded["quality"]:
        console.print(f"  quality: {', '.join(f'{key} {value}' for key, value in embedded['quality'].items())}")
    if embedded["terms"]:
        console.print(f"  terms of use: {embedded['terms']}")
    console.print(f"  model card: {Path(embedded['folder']) / 'README.md'}", soft_wrap=True)
