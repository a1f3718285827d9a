"""What the README and the pages promise: commands and Python that run, a map that is the tree, links that lead on."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import wordmask
from scripts.docs_extension import PLACEHOLDER, CommandLineHelp
from wordmask.api import METHODS
from wordmask.cli.app import COMMANDS, app
from wordmask.evaluation.report.ledger import read_results, summary_table

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "wordmask"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
WEIGHTS = METHODS["compact"].embedded
needs_weights = pytest.mark.skipif(
    WEIGHTS is None or not (WEIGHTS / "model.safetensors").is_file(), reason="the embedded weights are not there yet"
)


def blocks(language: str, text: str = README) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for kind, content in found if kind == language]


def sample_commands() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("wordmask segment sample:")]


def test_the_first_screen_has_an_image_and_few_lines_of_python() -> None:
    first = README.split("\n## ")[0]

    assert re.search(r"!\[.+\]\(docs/assets/astronaut\.png\)", first)
    assert len(first.splitlines()) <= 30
    (code,) = blocks("python", first)
    assert len([line for line in code.splitlines() if line.strip()]) <= 5


def test_the_commands_that_make_the_images_are_shown() -> None:
    made = {command[command.index("--out") + 1] for command in sample_commands()}

    assert made == set(re.findall(r"!\[.+?\]\(docs/assets/(.+?)\)", README))
    assert len(made) == 2


@needs_weights
@pytest.mark.parametrize("command", sample_commands(), ids=lambda command: command[2])
def test_those_commands_run_and_find_what_they_name(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, command[1:])
    assert done.exit_code == 0
    assert (tmp_path / command[command.index("--out") + 1]).stat().st_size > 10_000
    line = json.loads(CliRunner().invoke(app, [*command[1 : command.index("--out")], "--json"]).stdout)
    assert [prompt["prompt"] for prompt in line["prompts"] if not prompt["area"]] == []


@needs_weights
@pytest.mark.parametrize("page", ["README.md", "docs/tasks/segment.md", "docs/methods/clipseg.md"])
def test_the_python_runs_as_shown(page: str, tmp_path: Path) -> None:
    code = "\n".join(blocks("python", (ROOT / page).read_text(encoding="utf-8")))
    assert code

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if page == "README.md":
        presence, pixels = done.stdout.split()
        assert 0.5 <= float(presence) <= 1
        assert int(pixels) > 1000
        assert (tmp_path / "overlay.png").is_file()


def test_the_measured_values_are_those_of_the_ledger() -> None:
    results = read_results(ROOT / "benchmarks" / "results" / "ledger")
    table = README.partition("<!-- measured: begin -->\n")[2].partition("\n<!-- measured: end -->")[0]

    assert len(table.splitlines()) >= 10
    assert table == summary_table(results), "run scripts/ledger"


def test_the_scripts_it_promises_are_there_and_are_programs() -> None:
    promised = {
        line.split()[0] for block in blocks("bash") for line in block.splitlines() if line.startswith("scripts/")
    }

    assert promised == {"scripts/demo", "scripts/test"}
    for script in (*promised, "scripts/install", "scripts/check", "scripts/benchmark", "scripts/docs", ".ci/run"):
        assert os.access(ROOT / script, os.X_OK), script
        subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


def test_the_demo_is_the_command_of_the_first_screen() -> None:
    demo = (ROOT / "scripts" / "demo").read_text(encoding="utf-8")

    assert shlex.join(sample_commands()[0][:5]).replace("'", "") in demo.replace('"', "")


def test_the_map_matches_the_tree() -> None:
    (drawn,) = [block for block in blocks("") if block.startswith("src/wordmask/")]
    listed = [line.split()[0] for line in drawn.splitlines()]
    inside = {line.split()[0] for line in drawn.splitlines() if line.startswith("  ")}
    packages = {
        path.name + ("/" if path.is_dir() else "")
        for path in SOURCE.iterdir()
        if not path.name.startswith("_")
        and path.name != "py.typed"
        and (path.is_file() or any(path.glob("*/*")) or any(path.glob("*.py")))
    }

    assert inside == packages | ({"weights/"} if WEIGHTS and not WEIGHTS.exists() else set())
    top = {name for name in listed if name not in inside}
    assert top == {"src/wordmask/", "tests/", "docs/", "examples/", "benchmarks/", "scripts/"}
    assert {name for name in top if not (ROOT / name).is_dir()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in target]

    made_later = {"docs/assets/astronaut.png", "docs/assets/chelsea.png"}
    missing = {target for target in targets if not (page.parent / target).exists()}
    assert missing - (made_later if WEIGHTS and not WEIGHTS.exists() else set()) == set()


def test_the_site_lists_every_page() -> None:
    listed = re.findall(r"^ +- (?:.+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}

    assert len(pages) >= 15
    assert sorted(listed) == sorted(pages)


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")

    assert sorted(re.findall(r"^::: wordmask\.(\w+)$", page, re.MULTILINE)) == sorted(
        {*wordmask.__all__} - {"__version__"}
    )


def test_the_site_shows_the_help_of_every_command() -> None:
    page = CommandLineHelp().run(["# Command line", PLACEHOLDER, "The end."])

    assert (page[0], page[-1]) == ("# Command line", "The end.")
    assert {f"## `wordmask {command.__name__.replace('_', '-')}`" for command in COMMANDS} <= set(page)
    assert CommandLineHelp().run(["nothing to replace"]) == ["nothing to replace"]


def test_the_paths_of_contributing_exist() -> None:
    text = (
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Which package?")[2].partition("\n## ")[0]
    )
    paths = {path for path in re.findall(r"`([\w./]+)`", text) if "/" in path and not re.search("new|noun|name/", path)}

    assert len(paths) >= 20
    assert {path for path in paths if not (ROOT / path).exists() and not (SOURCE / path).exists()} == set()


def shown_commands(page: Path) -> list[list[str]]:
    """Return the words of every `wordmask` command of a page; lines that go on after a backslash are joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for block in blocks("bash", text) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("wordmask ")]


def test_the_options_of_shown_commands_exist() -> None:
    commands = [(page, command) for page in PAGES for command in shown_commands(page)]
    helps = {name: "".join(app_help(name).split()) for name in {command[1] for _, command in commands}}
    print(f"{len(commands)} commands in {len(PAGES)} pages")

    assert len(commands) >= 40
    assert {
        f"{page.relative_to(ROOT)}: {shlex.join(command)}"
        for page, command in commands
        for word in command
        if re.match("--[a-z]", word) and word.partition("=")[0] not in helps[command[1]]
    } == set()


def app_help(command: str) -> str:
    done = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, command
    return done.stdout


def test_every_option_of_segment_is_documented() -> None:
    page = (ROOT / "docs" / "tasks" / "segment.md").read_text(encoding="utf-8")

    options = set(re.findall(r"--[a-z-]+", app_help("segment"))) - {"--help"}
    assert len(options) >= 10
    assert {option for option in options if f"`{option}`" not in page} == set()
