"""`wordmask segment` on one small image imports no more than it needs."""

from __future__ import annotations

import os
import subprocess
import sys

PROBE = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from wordmask.cli import main
main()
"""
UNNEEDED = {"torch._dynamo", "skimage", "scipy", "transformers", "huggingface_hub", "wordmask.formats.overlay"}


def run(program: str, *words: str) -> tuple[set[str], float]:
    """Return what a program prints on standard error, word by word, and the seconds of CPU time it takes."""
    before = os.times()
    command, environment = [sys.executable, "-c", program, *words], os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    after = os.times()
    seconds = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return set(done.stderr.split()), seconds


def test_it_imports_no_more_than_it_needs_and_is_quick() -> None:
    _, torch = min((run("import torch") for _ in range(2)), key=lambda one: one[1])
    modules, whole = run(PROBE, "segment", "sample:astronaut", "face", "--json", "--device", "cpu")
    print(f"{whole:.2f} s of CPU time, of which importing torch takes {torch:.2f} s")
    assert "torch" in modules
    assert UNNEEDED & modules == set()
    assert whole < 2.8 * torch  # 1.9 times; 3.4 times with torch._dynamo and scikit-image
