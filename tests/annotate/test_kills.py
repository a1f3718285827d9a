"""Jobs that are killed at random moments end as jobs that were not; `benchmarks/annotate_kills.py` kills more often."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "annotate_kills.py"


@pytest.mark.slow
@pytest.mark.parametrize("shards", [0, 3])
def test_killed_jobs_give_the_same_journal_and_the_same_files(shards: int) -> None:
    words = ["--kills", "20", "--images", "40", "--shards", str(shards), "--formats", "coco", "yolo", "cvat"]
    done = subprocess.run([sys.executable, str(PROGRAM), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["kills"], facts["different"]) == (20, 0)
    assert facts["jobs"] >= 1
