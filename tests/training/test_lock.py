"""One run for a folder: also after a kill, and between processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wordmask.errors import OutputError, TrainingError
from wordmask.training.lock import NAME, locked

HOLDER = """
import os, sys, time
from pathlib import Path
from wordmask.training.lock import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:  # a worker that outlives its parent
        os.close(1)
        time.sleep(20)
        os._exit(0)
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_and_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    with locked(folder):
        assert (folder / NAME).is_file()
        with pytest.raises(TrainingError, match="in which this process is training"), locked(folder):
            raise AssertionError
        (folder / "run.json").write_text("{}")
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    with locked(tmp_path / "empty"):
        assert (tmp_path / "empty").is_dir()
    assert not (tmp_path / "empty").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_another_process_is_refused_until_it_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        number = process.stdout.readline().strip()
        said = rf"in which process {number} on .* is training.*wait until"
        with pytest.raises(TrainingError, match=said), locked(tmp_path):
            raise AssertionError
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / NAME).is_file()  # nobody could take it away
        with locked(tmp_path):  # its worker still lives
            pass
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"the run's folder .*file/run', which cannot be written"),
        locked(tmp_path / "file" / "run"),
    ):
        raise AssertionError
