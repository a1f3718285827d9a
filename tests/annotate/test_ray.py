"""Jobs on a local Ray: equal to those on one machine, after kills of actors and of the driver too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.annotate.jobs import run, write_images
from tests.annotate.test_job import digest
from tests.fakes import BrightnessSegmenter

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0
"""Seconds for a driver; a local Ray takes 10 seconds on a free machine and minutes on a busy one."""
TRIES = 3
DRIVER = """
import sys
from pathlib import Path
from tests.annotate.test_ray import Deadly
from wordmask.annotate.inputs import expand_inputs
from wordmask.annotate.job import JobSettings
from wordmask.annotate.models import JobModel
from wordmask.annotate.ontology import Ontology, parse_prompt
from wordmask.annotate.ray_engine import run_on_ray

folder, marker = Path(sys.argv[1]), sys.argv[2]
inputs = expand_inputs([str(folder / "in")])
model = JobModel("fake", lambda: Deadly(marker))
ontology, settings = Ontology.of([parse_prompt("bright")]), JobSettings(batch=4, workers=1)
summary = run_on_ray(inputs, ontology, folder / "out", model, settings)
print(summary)
"""


class Deadly(BrightnessSegmenter):
    """Kills its own process once, at its fifth image, where it is given a file to note that in."""

    def __init__(self, marker: str) -> None:
        self.marker, self.encoded = marker, 0

    def encode(self, image: Any) -> Any:
        self.encoded += 1
        time.sleep(0.05)
        if self.marker and self.encoded == 5 and not os.path.exists(self.marker):
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(image)


def start(folder: Path, marker: str = "") -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", DRIVER, str(folder), marker]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def stop(driver: subprocess.Popen[str]) -> None:
    """Kill a driver and all of its Ray."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()


def kill_in_the_middle(folder: Path) -> None:
    """Start a driver and kill it with all of its Ray when the first results are written; a busy machine takes long."""
    driver = start(folder)
    end = time.monotonic() + PATIENCE
    while driver.poll() is None and time.monotonic() < end:
        if any((folder / "out" / ".ray" / "records").rglob("*.parquet")):
            break
        time.sleep(0.05)
    stop(driver)


def finish(folder: Path, marker: str) -> str:
    """Run drivers until one ends by itself: Ray gives up when its processes do not start within 30 seconds."""
    for _ in range(TRIES):
        driver = start(folder, marker)
        try:
            said = driver.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            said = ""
        code = driver.poll()
        stop(driver)
        if code == 0:
            return said
    raise AssertionError(f"no driver of {TRIES} ended")


def test_a_killed_actor_and_a_killed_driver_change_nothing(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 22)
    (tmp_path / "in" / "bad.png").write_bytes(b"bad")
    kill_in_the_middle(tmp_path)
    said = finish(tmp_path, str(tmp_path / "killed"))
    assert (tmp_path / "killed").exists() or "known=22" in said
    run(tmp_path / "in", tmp_path / "whole")
    assert digest(tmp_path / "out") == digest(tmp_path / "whole")
    assert not (tmp_path / "out" / ".ray").exists()
