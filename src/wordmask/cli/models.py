"""`wordmask models`: methods, embedded weights and presets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wordmask.cli.failures import Debug, errors_as_sentences

if TYPE_CHECKING:
    from wordmask.methods.table import Method, Preset


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    debug: Debug = False,
) -> None:
    """List the methods, the embedded weights and the presets with their downloads. Needs no network."""
    from wordmask.methods.table import METHODS

    with errors_as_sentences(debug):
        methods = [_method(method) for method in METHODS.values()]
        presets = [_preset(preset, method) for method in METHODS.values() for preset in method.presets]
    if as_json:
        typer.echo(json.dumps({"methods": methods, "presets": presets}, ensure_ascii=False))
    else:
        _print_tables(methods, presets)


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "planned": method.planned,
        "trainable": method.trainer is not None,
        "embedded": _embedded(method.embedded),
        "presets": [preset.name for preset in method.presets],
    }


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


def _preset(preset: Preset, method: Method) -> dict[str, Any]:
    from wordmask.backbones.hub import is_cached

    parts = [
        {
            "role": part.role,
            "hub": part.hub,
            "revision": part.revision,
            "bytes": part.bytes,
            "licence": part.licence,
            "cached": is_cached(part.hub, revision=part.revision) if part.hub else True,
        }
        for part in preset.parts
    ]
    return {
        "name": preset.name,
        "method": method.name,
        "summary": preset.summary,
        "bytes": preset.bytes,
        "cached": all(part["cached"] for part in parts),
        "parts": parts,
    }


def _print_tables(methods: list[dict[str, Any]], presets: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("method", "weights in the package", "prompts and idea", title="Methods", title_justify="left")
    for method in methods:
        table.add_row(method["name"], _weights_text(method), method["summary"])
    console.print(table)
    for method in methods:
        if method["embedded"]:
            _print_card(console, method["name"], method["embedded"])
    columns = ("preset", "part", "download", "licence", "in the cache", "summary")
    table = Table(*columns, title="Presets", title_justify="left")
    for preset in presets:
        for index, part in enumerate(preset["parts"]):
            name, summary = (preset["name"], preset["summary"]) if index == 0 else ("", "")
            cached = "yes" if part["cached"] else "no"
            revision = f" @{part['revision'][:7]}" if part["revision"] else ""
            table.add_row(
                name,
                f"{part['hub']}{revision}",
                size_text(part["bytes"]),
                part["licence"] or "unknown",
                cached,
                summary,
            )
    console.print(table)
    console.print('Use one: wordmask segment photo.jpg "left eye" --model NAME (or a hub id, or a local folder)')


def size_text(size: int | None) -> str:
    """Return the size of a download for people to read."""
    return "unknown size" if size is None else f"{size / 1e6:.0f} MB"


def _weights_text(method: dict[str, Any]) -> str:
    if method["planned"]:
        return "planned"
    if method["embedded"]:
        return f"{method['embedded']['bytes'] / 1e6:.1f} MB"
    return "none, see presets" if method["presets"] else "missing"


def _print_card(console: Any, name: str, embedded: dict[str, Any]) -> None:
    console.print(f"Embedded weights of {name}")
    for what in embedded["trained_on"]:
        console.print(f"  trained on {what}", soft_wrap=True)
    if embedded["quality"]:
        console.print(f"  quality: {', '.join(f'{key} {value}' for key, value in embedded['quality'].items())}")
    if embedded["terms"]:
        console.print(f"  terms of use: {embedded['terms']}")
    console.print(f"  model card: {Path(embedded['folder']) / 'README.md'}", soft_wrap=True)
