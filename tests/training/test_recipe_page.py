"""The page of CLIPSeg's experiments: every row of its table is a recipe that exists, with the values it means."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from wordmask.cli.train import recipe_of
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes.phrasecut import phrasecut, phrasecut_plus

PAGE = (Path(__file__).parents[2] / "docs" / "recipes" / "phrasecut-plus.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| [^|]+ \| ([^|]+) \| `(phrasecut[^`]*)` \|$", PAGE, re.MULTILINE))
VIT: dict[str, Any] = {"text_towers": "CLIP", "size": 384}
EXPECTED: dict[str, tuple[Recipe, dict[str, Any]]] = {
    "CLIPSeg (PC+)": (phrasecut_plus(), {}),
    "CLIPSeg (PC)": (phrasecut(), {}),
    "CLIPSeg (PC, D = 128)": (phrasecut(), {"channels": 128}),
    "CLIP-Deconv": (phrasecut_plus(), {"decoder": "deconv", "engineering": "blur3_highlight01"}),
    "CLIP-Deconv (PC+)": (phrasecut_plus(), {"decoder": "deconv"}),
    "ViTSeg (PC+)": (phrasecut_plus(), {**VIT, "lr": 3e-4, "final_lr": 3e-5}),
    "ViTSeg (PC)": (phrasecut(), {**VIT, "lr": 1e-4, "final_lr": 1e-5}),
    "no CLIP pre-training": (phrasecut_plus(), {"towers": "random", "lr": 3e-4, "final_lr": 3e-5}),
    "no visual": (phrasecut_plus(), {"visual": False}),
    "D = 16": (phrasecut_plus(), {"channels": 16}),
    "only layer 3": (phrasecut_plus(), {"extract_layers": (3,)}),
    "highlight mask": (phrasecut_plus(), {"engineering": "blur_highlight"}),
    "no negatives": (phrasecut_plus(), {"negatives": 0.0}),
    "half of all negative": (phrasecut_plus(), {"negatives": 0.5}),
    "refined head": (phrasecut_plus(), {"refined": True, "steps": 50_000}),
    "interpolation as in the paper's text": (phrasecut_plus(), {"text_weight": 1.0}),
    "only phrases with an example": (phrasecut_plus(), {"only_visual": True}),
    "blocks that the released weights read": (phrasecut_plus(), {"extract_layers": (3, 6, 9)}),
}


def recipe_in(command: str) -> Recipe:
    """The recipe of a command, read as the command line reads it."""
    name, *words = shlex.split(command)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    given = {option.removeprefix("--"): float(value) for option, value in pairs if option == "--lr"}
    given |= {option.removeprefix("--"): int(value) for option, value in pairs if option == "--steps"}
    assert {option for option, _ in pairs} <= {"--model", "--change", "--lr", "--steps"}
    return recipe_of(name, given, [value for option, value in pairs if option == "--change"], False)


def test_the_table_has_every_row() -> None:
    assert set(ROWS) == set(EXPECTED)


@pytest.mark.parametrize("row", EXPECTED)
def test_a_row_is_the_recipe_it_means(row: str) -> None:
    recipe, changes = EXPECTED[row]
    found, meant = recipe_in(ROWS[row]).flat(), with_changes(recipe, changes).flat()
    assert found.keys() == meant.keys()
    for name, value in meant.items():
        assert found[name] == (pytest.approx(value) if isinstance(value, float) else value), name


def test_other_commands_of_the_page_have_values_that_exist() -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    changes = [re.findall(r"--change (\S+)", line) for line in lines]
    assert len(lines) == 5
    assert sum(map(len, changes)) == 2
    for line, values in zip(lines, changes, strict=True):
        recipe_of(line.split()[2], {}, values, False)
