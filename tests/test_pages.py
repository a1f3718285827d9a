"""README and every page of docs/tasks, followed in a fresh folder: their blocks run in order, as they are written.

Commands run in this process. Data that the pages call the user's are generated under the names that the pages use.
"""

from __future__ import annotations

import glob
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.training.inputs import write_coco, write_labels, write_small_compact, write_table
from wordmask.api import METHODS
from wordmask.cli.app import app
from wordmask.images import load_image
from wordmask.training import run as training
from wordmask.training.forgetting import probe
from wordmask.training.recipe import with_changes
from wordmask.training.recipes import find_recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "tasks").glob("*.md"))]
WEIGHTS = METHODS["compact"].embedded
NOT_RUN = {
    r"^pip install": "installs packages",
    r"^scripts/(demo|test|install)": "installs packages, or runs these tests",
    r"--model CIDAS/": "downloads weights from a hub",
    r"^accelerate launch": "starts four processes, which takes minutes here",
    r"^wordmask serve": "runs until it is stopped: tests/serve starts it",
    r"^(open|curl) ": "asks the service",
    r"^docker ": "needs Docker",
    r"python benchmarks/": "measures for minutes",
    r"^wordmask export-model|--model compact-onnx": "takes an extra and a minute: tests/export runs it",
}
"""Commands that are not run, by a pattern, and why."""
FEWER = {r"--limit \d+": "--limit 2", r"limit=\d+": "limit=2"}
"""What is shortened so that a page takes seconds."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and text of the page's bash and Python blocks."""
    found = re.findall(r"^```(bash|python)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [(str(language), str(text)) for language, text in found]


def commands(text: str) -> list[str]:
    """Return the commands of a bash block, one a line."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


def why_not_run(command: str) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, command)), None)


def runs(language: str, text: str) -> bool:
    """Whether something of a block is run: Python, unless it asks a service, or one of its commands."""
    if language == "python":
        return "wordmask.serve" not in text
    return any(why_not_run(command) is None for command in commands(text))


def shell(command: str) -> None:
    """Run a command as bash does: globs, comments and one input."""
    words: list[str] = []
    feed = None
    parts = iter(re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", command))
    for part in parts:
        if part.startswith("#"):
            break
        if part == "<":
            feed = Path(next(parts)).read_bytes()
            continue
        (word,) = shlex.split(part)
        words += sorted(glob.glob(word)) if set("*?") & set(part) and not set("\"'") & set(part) else [word]
    assert words[0] == "wordmask", command
    done = CliRunner().invoke(app, words[1:], input=feed)
    assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception!r}"


def write_users_data() -> None:
    """Write what the pages call the user's: images, tables, sets and a model."""
    photo = Image.fromarray(load_image("sample:astronaut").pixels).resize((128, 128))
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/1.jpg", "photos/2.jpg"):
        photo.save(name)
    table = write_table(Path("my"), 10)
    Path("my.csv").write_text(re.sub(r"(photos|masks)/", r"my/\1/", table.read_text()))
    for name in ("faces", "streets", "rooms"):
        write_labels(Path("sets") / name, 4)
    coco = write_coco(Path("coco"), 2)
    for image in Path("coco/images").iterdir():
        image.rename(Path("photos") / image.name)
    coco.rename("labels.json")
    write_small_compact(Path("my-model"))
    Path("concepts.yaml").write_text("face: human face\neye: [left eye, right eye]\n")
    names = json.loads(Path("sets/faces/classes.json").read_text())
    Path("faces.yaml").write_text("".join(f"{name}: {name}\n" for name in names.values() if isinstance(name, str)))


def shorten_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every training take one step with small images, and ask little about forgetting."""
    train = training.train

    def brief(recipe: Any, *words: Any, **options: Any) -> Any:
        recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
        size = {"sizes": ((0, 64),)} if recipe.name == "compact" else {"size": 64}
        smaller = {"steps": 1, "batch": 4, "valid_limit": 1, "holdout": 0.1, **size}
        return train(with_changes(recipe, smaller), *words, **options)

    monkeypatch.setattr(training, "train", brief)
    monkeypatch.setattr(probe, "UNLABELLED", 1)


@pytest.mark.skipif(WEIGHTS is None or not WEIGHTS.exists(), reason="the embedded weights are not there yet")
@pytest.mark.filterwarnings("ignore::wordmask.errors.WordmaskWarning")
@pytest.mark.parametrize("in_full", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["short", "full"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_followed(page: Path, in_full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(runs(language, text) for language, text in blocks(page)):
        pytest.skip("nothing on this page runs here")
    monkeypatch.chdir(tmp_path)
    write_users_data()
    shorten_training(monkeypatch)
    names: dict[str, Any] = {}
    ran = 0
    for language, text in blocks(page):
        for pattern, less in () if in_full else FEWER.items():
            text = re.sub(pattern, less, text)
        if not runs(language, text):
            continue
        if language == "python":
            exec(compile(text, f"{page.name}, a block", "exec"), names)
            ran += 1
            continue
        for command in commands(text):
            if why_not_run(command) is None:
                shell(command)
                ran += 1
    assert ran > 0


def test_every_reason_not_to_run_is_used() -> None:
    bash = [text for page in PAGES for language, text in blocks(page) if language == "bash"]
    shown = [command for text in bash for command in commands(text)]

    assert len(shown) > 20
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, command) for command in shown)] == []
