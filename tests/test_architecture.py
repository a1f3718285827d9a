"""The plan of the house, enforced: imports point one way, third parties stop at their adapter, imports are light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wordmask"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_FILE = 400

# Upstairs first. A room may import from floors below its own and from itself, never from its own floor's neighbours
# above. `wordmask` is the package's door (`__init__`, `__main__`), which only names the rooms.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"serve", "annotate", "train", "evaluate"},
    {"api"},
    {"methods", "data"},
    {"backbones", "losses", "metrics"},
    {"contracts", "checkpoints", "device", "versions"},
    {"samples"},
    {"results"},
    {"formats"},
    {"ops"},
    {"prompts"},
    {"images"},
    {"errors"},
)
RANK = {room: len(FLOORS) - floor for floor, rooms in enumerate(FLOORS) for room in rooms}
RANK["__init__"] = 0  # `from wordmask import __version__`

# A result can write itself, so it calls the formats; for types alone they name what they write.
TYPES_ONLY = {("formats", "results")}

# Who may name a package that is slow to import or awkward to install.
ADAPTERS = {
    "transformers": {"backbones"},
    "timm": {"backbones"},
    "huggingface_hub": {"backbones"},
    "torchvision": set[str](),
    "supervision": {"formats", "results"},
    "pycocotools": {"metrics"},
    "accelerate": {"train"},
    "datasets": {"data"},
    "nltk": {"data"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "fastapi": {"serve"},
    "gradio": {"serve"},
}


@dataclass(frozen=True)
class Import:
    """One imported module, where it stands, and whether it is for type checkers only."""

    file: Path
    line: int
    module: str
    typing_only: bool

    @property
    def where(self) -> str:
        return f"{self.file.relative_to(SOURCE)}:{self.line} imports {self.module}"

    @property
    def room(self) -> str:
        return _room(self.file)


def _room(file: Path) -> str:
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def _imports(file: Path) -> Iterator[Import]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_nodes = {id(node) for block in ast.walk(tree) if _is_type_checking(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        typing_only = id(node) in typing_nodes
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} relative import"
            module = str(node.module)
            names = [f"wordmask.{a.name}" for a in node.names] if module == "wordmask" else [module]
            yield from (Import(file, node.lineno, name, typing_only) for name in names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


IMPORTS = [found for file in FILES for found in _imports(file)]


def test_the_walk_finds_the_house() -> None:
    print(f"{len(FILES)} files, {len(IMPORTS)} imports")
    assert len(FILES) >= 30
    assert len(IMPORTS) >= 100
    assert {"__init__", "api", "cli", "errors", "images", "methods", "ops", "prompts"} <= {_room(f) for f in FILES}


def test_every_room_has_a_floor() -> None:
    assert {_room(file) for file in FILES} - RANK.keys() == set()


def test_imports_point_downwards() -> None:
    upwards = [
        found.where
        for found in IMPORTS
        if found.module.startswith("wordmask.") and found.room != "__init__"
        for target in [found.module.split(".")[1]]
        if target in RANK and target != found.room and RANK[target] >= RANK[found.room]
        if not (found.typing_only and (found.room, target) in TYPES_ONLY)
    ]
    assert upwards == []


@pytest.mark.parametrize("package", sorted(ADAPTERS))
def test_third_parties_stop_at_their_adapter(package: str) -> None:
    outside = [
        found.where
        for found in IMPORTS
        if found.module.split(".")[0] == package and found.room not in ADAPTERS[package]
    ]
    assert outside == []


def test_no_file_outgrows_one_noun() -> None:
    lengths = {str(file.relative_to(SOURCE)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_stay_short() -> None:
    long = [
        f"{file.relative_to(SOURCE)}:{node.lineno} {node.name}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and _body_lines(node) > 60
    ]
    assert long == []


def _body_lines(function: ast.FunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


LIGHT = ("wordmask", "wordmask.api", "wordmask.cli", "wordmask.cli.app", "wordmask.errors", "wordmask.device")
WITHOUT_TORCH = ("wordmask.prompts", "wordmask.images", "wordmask.results", "wordmask.contracts")


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_the_door_is_light(module: str) -> None:
    loaded = _loaded_by(f"import {module}")
    assert loaded & {"torch", "transformers", "cv2", "scipy", "skimage", "numpy", "PIL", "huggingface_hub"} == set()


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_values_need_no_torch(module: str) -> None:
    assert _loaded_by(f"import {module}") & {"torch", "transformers", "skimage", "huggingface_hub"} == set()


def test_importing_every_module_loads_no_transformers_and_prints_nothing() -> None:
    modules = [
        ".".join(("wordmask", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for file in FILES
        if file.name != "__main__.py"
    ]
    code = "\n".join(
        [
            "import importlib, sys",
            f"for name in {modules!r}: importlib.import_module(name)",
            "heavy = {'transformers', 'timm', 'skimage', 'gradio', 'fastapi'}",
            "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()",
        ]
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
