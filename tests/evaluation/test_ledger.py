"""The ledger: printed values, ours beside them, and the page in the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wordmask.data.registry import NAMED_SETS
from wordmask.errors import DataError
from wordmask.evaluation.benchmarks import BENCHMARKS
from wordmask.evaluation.report.ledger import ledger_markdown, read_results
from wordmask.evaluation.report.reported import TABLES

ROOT = Path(__file__).parents[2]


def result(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "benchmark": "phrasecut",
        "preset": "paper",
        "protocol": {"task": "masks"},
        "split": "test",
        "data": {"name": "phrasecut", "split": "test", "images": 2545},
        "samples": 2545,
        "model": {"name": "clipseg-rd64", "asked": "CIDAS/clipseg-rd64"},
        "scores": {"miou@0.3": {"value": 0.4312, "low": 0.42, "high": 0.445}, "ap_2021": {"value": 0.7611}},
        "presence": {},
        "command": "wordmask evaluate --benchmark phrasecut",
    }
    return made | changes


def row(page: str, title: str, method: str) -> str:
    section = page.split(f"### {title}\n")[1].split("\n### ")[0]
    return next(line for line in section.splitlines() if line.startswith(f"| {method} "))


def test_ours_stands_beside_the_printed_value() -> None:
    page = ledger_markdown([result()])

    assert row(page, "PhraseCut, text", "CLIPSeg (PC+)") == (
        "| CLIPSeg (PC+) | 43.4 | 43.1 [42.0, 44.5] | 54.7 |  | 76.7 | 76.1 |  |"
    )
    assert "no weights published" in row(page, "PhraseCut, text", "CLIPSeg (PC)")


def test_measurements_are_grouped_by_task() -> None:
    absent = {"absent_with_mask": {"value": 0.25, "low": 0.2, "high": 0.3}}
    scores = {"ap": {"value": 0.1234}, "boundary_ap": {"value": 0.05}}

    page = ledger_markdown([result(presence=absent), result(protocol={"task": "instances"}, scores=scores)])

    assert "| phrasecut test | clipseg-rd64 | 2545 of 2545 |  |  |  |  |  | 25.0 [20.0, 30.0] |" in page
    assert "### Instances\n\n| set | model | images | AP | AP50 | AP75 | boundary AP |" in page
    assert "| phrasecut test | clipseg-rd64 | 2545 of 2545 | 12.3 |  |  | 5.0 |" in page


@pytest.mark.parametrize(
    "changes",
    [{"samples": 100}, {"preset": "code"}, {"split": "val"}, {"model": {"name": "x", "asked": "CIDAS/clipseg-rd16"}}],
)
def test_another_protocol_or_a_part_fills_no_cell(changes: dict[str, Any]) -> None:
    page = ledger_markdown([result(**changes)])

    assert row(page, "PhraseCut, text", "CLIPSeg (PC+)").startswith("| CLIPSeg (PC+) | 43.4 |  |")


def test_every_table_can_be_measured_and_every_empty_cell_says_why() -> None:
    assert len(TABLES) >= 25
    for table in TABLES:
        benchmark = BENCHMARKS[table.benchmark]
        assert table.preset in benchmark.presets
        assert table.split in NAMED_SETS[str(benchmark.dataset)].splits
        for one in table.rows:
            assert len(one.values) == len(table.columns)
            assert one.why


def test_the_corrections_are_there() -> None:
    page = ledger_markdown([])

    for words in ("43.1 seen and 35.7 unseen", "47.3 and 20.8", "82.65", "48.7 and 39.9 are mean IoU"):
        assert words in page


def test_the_page_in_the_repository_is_up_to_date() -> None:
    page = ledger_markdown(read_results(ROOT / "benchmarks" / "results" / "ledger"))

    assert (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8") == page


def test_a_file_that_is_no_result_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"scores": 1}), encoding="utf-8")

    with pytest.raises(DataError, match=r"expected a result.json of wordmask evaluate: remove it"):
        read_results(tmp_path)
