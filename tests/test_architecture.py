"""The structure of the package: imports point one way, third parties stop at their adapter, functions are short.

`docs/architecture.md` has the picture. A package here is a direct child of `src/wordmask`: a folder or a single module.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "wordmask"
FILES = sorted(SOURCE.rglob("*.py"))
PROGRAMS = sorted(file for folder in ("scripts", "benchmarks", "examples") for file in (ROOT / folder).rglob("*.py"))

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
SCRIPT_LINES = 1500

# Highest layer first. A package may import from layers below its own and from itself. `wordmask/__init__.py` only names
# where its public names live.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"serve", "annotate", "training", "evaluation", "export"},
    {"api"},
    {"methods", "data"},
    {"components"},
    {"backbones", "losses", "metrics"},
    {"contracts", "checkpoints", "device", "versions"},
    {"batch", "settings"},
    {"results"},
    {"formats"},
    {"ops"},
    {"prompts"},
    {"images"},
    {"files", "addresses"},
    {"errors"},
)
RANK = {package: len(LAYERS) - layer for layer, packages in enumerate(LAYERS) for package in packages}
RANK["__init__"] = 0  # `from wordmask import __version__`

# Imports against the layers that serve type checkers only: a contract names what a data set yields.
TYPES_ONLY = {("contracts", "wordmask.data.sample")}

# Which packages may import a third party that is slow to import or awkward to install.
ADAPTERS = {
    "transformers": {"backbones"},
    "timm": {"backbones"},
    "huggingface_hub": {"backbones"},
    "torchvision": set[str](),
    "supervision": {"formats", "results"},
    "pycocotools": {"metrics"},
    "accelerate": {"training"},
    "datasets": {"annotate", "data"},
    "fsspec": {"annotate"},
    "ray": {"annotate", "serve"},
    "nltk": {"data"},
    "spacy": {"components"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "fastapi": {"serve"},
    "uvicorn": {"serve"},
    "mcp": {"serve"},
    "onnxruntime": {"backbones", "export"},
    "openvino": {"backbones", "export"},
    "gradio": {"serve"},
}

# Words of an earlier private vocabulary, as parts of module, class, function and argument names.
PRIVATE_WORDS = set(
    "picture pictures exam guarding alarm alarms tally judge judging judged lesson lessons student students moment "
    "likeness alike agreement listens atoms spoken lacks album settle settled catalogue speck house door floors".split()
)
PRIVATE_NAMES = re.compile("rate|final_rate|shots?|views|looks|drawn|sit|pooling|remember")


@dataclass(frozen=True)
class Import:
    """One imported module, where it stands, and whether it is for type checkers only."""

    file: Path
    line: int
    module: str
    typing_only: bool

    @property
    def where(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"

    @property
    def package(self) -> str:
        return _package(self.file)


def _package(file: Path) -> str:
    """Return the package of a source file; of a program, the folder it is in."""
    base = SOURCE if file.is_relative_to(SOURCE) else ROOT
    return file.relative_to(base).with_suffix("").parts[0]


def _module(file: Path) -> str:
    base = SOURCE.parent if file.is_relative_to(SOURCE) else ROOT
    return ".".join(file.relative_to(base).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(file): file for file in (*FILES, *PROGRAMS)}
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in (*FILES, *PROGRAMS)}


def _imports(file: Path) -> Iterator[Import]:
    """Yield every import of a file, those inside functions included; names that are modules are resolved to them."""
    tree = TREES[file]
    typing_nodes = {id(node) for block in ast.walk(tree) if _is_type_checking(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        typing_only = id(node) in typing_nodes
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} relative import"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = {name if name in MODULES else str(node.module) for name in full}
            yield from (Import(file, node.lineno, name, typing_only) for name in sorted(names))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


IMPORTS = [found for file in FILES for found in _imports(file)]
PROGRAM_IMPORTS = [found for file in PROGRAMS for found in _imports(file)]


def test_all_files_are_read() -> None:
    print(f"{len(FILES)} files, {len(IMPORTS)} imports, {len(PROGRAMS)} programs, {len(PROGRAM_IMPORTS)} imports")
    assert len(FILES) >= 150
    assert len(IMPORTS) >= 1000
    assert len(PROGRAMS) >= 10
    assert {"__init__", "api", "cli", "errors", "images", "methods", "ops", "prompts"} <= {_package(f) for f in FILES}


def test_every_package_has_a_layer() -> None:
    assert {_package(file) for file in FILES} - RANK.keys() == set()


def test_imports_point_downwards() -> None:
    upwards = [
        found.where
        for found in IMPORTS
        if found.module.startswith("wordmask.") and found.package != "__init__"
        for target in [found.module.split(".")[1]]
        if target in RANK and target != found.package and RANK[target] >= RANK[found.package]
        if not (found.typing_only and (found.package, found.module) in TYPES_ONLY)
    ]
    assert upwards == []


def test_the_package_imports_neither_tests_nor_programs() -> None:
    outside = {"tests", "scripts", "benchmarks", "examples"}
    assert [found.where for found in IMPORTS if found.module.split(".")[0] in outside] == []
    assert [found.where for found in PROGRAM_IMPORTS if found.module.split(".")[0] == "tests"] == []


def _cycles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the groups of nodes that reach one another: the strongly connected components of two nodes or more."""
    reach = {start: _reachable(graph, start) for start in graph}
    groups = {frozenset({start, *(n for n in reach[start] if start in reach[n])}) for start in graph}
    return sorted((set(group) for group in groups if len(group) > 1), key=sorted)


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph[node]
    return seen


def _graph(*, types: bool) -> dict[str, set[str]]:
    """Return which files each file imports; `types` counts imports for type checkers too."""
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in (*IMPORTS, *PROGRAM_IMPORTS):
        source = _module(found.file)
        if found.module in MODULES and found.module != source and (types or not found.typing_only):
            graph[source].add(found.module)
    return graph


def test_cycles_are_found() -> None:
    assert _cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert _cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert _graph(types=False)["wordmask.cli.app"]


def test_no_files_import_each_other_in_a_circle() -> None:
    assert _cycles(_graph(types=False)) == []


def test_no_files_name_each_other_in_a_circle() -> None:
    graph = _graph(types=True)
    assert _cycles({name: imported - {"wordmask"} for name, imported in graph.items()}) == []


@pytest.mark.parametrize("package", sorted(ADAPTERS))
def test_third_parties_stop_at_their_adapter(package: str) -> None:
    outside = [
        found.where
        for found in IMPORTS
        if found.module.split(".")[0] == package and found.package not in ADAPTERS[package]
    ]
    assert outside == []


def test_files_stay_short() -> None:
    lengths = {_module(file): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES.values()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_stay_short() -> None:
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _body_lines(node) > LONGEST_FUNCTION
    ]
    assert long == []


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_scripts_stay_few() -> None:
    files = [file for file in (ROOT / "scripts").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert len(files) >= 8
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= SCRIPT_LINES


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield the names of classes, functions, arguments and annotated attributes of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _is_private_word(name: str) -> bool:
    """Return whether a name has a word of the old vocabulary; "ground_truth" and "zero_shot" are the field's own."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")
    alone = {second for first, second in pairwise(["", *words]) if (first, second) != ("ground", "truth")}
    return bool(alone & PRIVATE_WORDS) or "truth" in alone or bool(PRIVATE_NAMES.fullmatch(name.lower().strip("_")))


def test_private_words_are_recognised() -> None:
    private = ["load_picture", "Picture", "Judged", "truth", "rate", "final_rate", "Shot", "views"]
    standard = ["ground_truth", "zero_shot", "image", "lr", "view", "pooled", "sampling_rate", "GroundTruthInstance"]
    assert [name for name in private if not _is_private_word(name)] == []
    assert [name for name in standard if _is_private_word(name)] == []


def test_names_are_the_fields_own() -> None:
    wrong = {
        f"{_module(file)}: {name}"
        for file, tree in TREES.items()
        for name in (*_names(tree), file.stem)
        if _is_private_word(name)
    }
    assert sorted(wrong) == []


LIGHT = ("wordmask", "wordmask.api", "wordmask.cli", "wordmask.cli.app", "wordmask.errors", "wordmask.device")
WITHOUT_TORCH = ("wordmask.prompts", "wordmask.images", "wordmask.results", "wordmask.contracts")


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_the_public_modules_are_light(module: str) -> None:
    loaded = _loaded_by(f"import {module}")
    assert loaded & {"torch", "transformers", "cv2", "scipy", "skimage", "numpy", "PIL", "huggingface_hub"} == set()


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_values_need_no_torch(module: str) -> None:
    assert _loaded_by(f"import {module}") & {"torch", "transformers", "skimage", "huggingface_hub"} == set()


def test_importing_every_module_loads_no_transformers_and_prints_nothing() -> None:
    modules = [_module(file) for file in FILES if file.name != "__main__.py"]
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
