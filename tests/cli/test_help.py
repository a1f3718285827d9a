"""The command line answers at once, and says what it must."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from wordmask import __version__
from wordmask.cli.app import COMMANDS, app

HEAVY = {"torch", "transformers", "cv2", "scipy", "skimage", "numpy", "PIL", "huggingface_hub"}
PROBE = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from wordmask.cli import main
main()
"""


@pytest.mark.parametrize("words", [["--help"], ["segment", "--help"], ["models", "--help"], ["--version"]])
def test_help_loads_nothing_heavy_and_takes_no_time(words: list[str]) -> None:
    before = os.times()
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True)
    after = os.times()

    assert HEAVY & set(done.stderr.split()) == set()
    assert (after.children_user - before.children_user) + (after.children_system - before.children_system) <= 0.8


def test_the_console_script_is_this_program() -> None:
    command = [sys.executable, "-m", "wordmask", "--version"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == f"wordmask {__version__}"
    assert time.perf_counter() - start < 30


def test_help_lists_every_command_and_the_exit_codes() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout

    assert [name for name in (command.__name__.replace("_", "-") for command in COMMANDS) if name not in shown] == []
    assert "Exit codes" in shown


def test_segment_help_names_every_option() -> None:
    shown = CliRunner().invoke(app, ["segment", "--help"], env={"COLUMNS": "200"}).stdout

    options = "--prompt --model --revision --device --dtype --out --threshold --json --quiet --debug".split()
    options.append("--presence-threshold")
    assert [option for option in options if option not in shown] == []


def test_no_words_at_all_show_the_help() -> None:
    assert "Usage" in CliRunner().invoke(app, []).output


def test_a_wrong_command_is_bad_usage() -> None:
    assert CliRunner().invoke(app, ["segmnt"]).exit_code == 2


def test_idle_threads_sleep_before_torch_can_load() -> None:
    code = (
        "import os, sys\n"
        "sys.argv = ['wordmask', '--version']\n"
        "from wordmask.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.splitlines()[-1] == "PASSIVE False"
