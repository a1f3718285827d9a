"""Everything once, at toy size: pool, towers, every variant, scores, study of prompts, page."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.experiments.clipseg import report as reporting
from scripts.experiments.clipseg import visual_prompts
from scripts.experiments.clipseg.orderings import ORDERINGS
from scripts.experiments.clipseg.pooling import pool
from scripts.experiments.clipseg.run import Folders, is_finished, planned, run_all
from scripts.experiments.clipseg.score import score_all
from scripts.experiments.clipseg.tables import NOT_RUN, insert
from scripts.experiments.clipseg.towers import Sizes
from scripts.experiments.clipseg.train_towers import Plan, run
from scripts.experiments.clipseg.variants import VARIANTS, Settings, missing, recipe_of
from tests.experiments.toy import SETS, write_data
from wordmask.data.plain import plain
from wordmask.errors import DataError
from wordmask.formats.files import write
from wordmask.train.students import Student

DOCS = Path(__file__).parents[2] / "docs" / "experiments"
TINY = Sizes(side=32, width=16, depth=10, heads=2, text_width=16, text_depth=1, text_heads=2, channels=24)
SETTINGS = Settings(steps=2, batch=2, size=32)

unfinished = pytest.mark.skipif(
    not hasattr(Student, "use_store") or any(missing(variant) for variant in VARIANTS.values()),
    reason="needs stored read-outs and the variants' fields of the recipe",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("clipseg")
    data = write_data(root / "data")
    pool(data, root / "pooled", sets=SETS, side=32, most={"train": 3, "val": 2})
    plan = Plan(steps=2, batch=2)
    for name in ("clip", "vit"):
        record = run(data, root / name, TINY, plan, vit=name == "vit", sets=SETS, views=4)
        assert record["valid"]["regions"] == 4  # type: ignore[index]
    return Folders(pooled=root / "pooled", clip=root / "clip", vit=root / "vit", out=root / "grid")


@unfinished
def test_from_pictures_to_the_page(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="draws the page's figures")
    root = folders.out.parent
    failed = run_all([*VARIANTS], [0], SETTINGS, folders, quiet=True)
    assert not failed
    assert not run_all(["pc-plus", "pc"], [1], SETTINGS, folders, quiet=True)
    assert capsys.readouterr().out.count(" s\n") == len(VARIANTS) + 2
    assert not run_all([*VARIANTS], [0], SETTINGS, folders, quiet=True)  # all finished: nothing is done
    assert not capsys.readouterr().out
    for name in VARIANTS:
        assert is_finished(folders.run(VARIANTS[name], 0))

    written = score_all(folders.pooled, folders.out, root / "scores", each=2, most=6)
    assert len(written) == len(VARIANTS) + 2
    assert not score_all(folders.pooled, folders.out, root / "scores", each=2, most=6)
    record = json.loads((root / "scores" / "pc-plus-0.json").read_bytes())
    assert len(record["questions"]) == len(record["histograms"]["visual"]) == 6
    assert sum(map(sum, record["histograms"]["text"][0])) == 32 * 32
    assert set(record["scores"]["text"]["set"]) == set(SETS)
    others = [json.loads((root / "scores" / f"{name}-0.json").read_bytes()) for name in VARIANTS]
    assert {json.dumps(other["questions"]) for other in others} == {json.dumps(record["questions"])}

    clip = visual_prompts.Clip(folders.clip)
    study = visual_prompts.study(clip, [plain(root / "data" / "things", "val")], most=2, least=0.05)
    write(root / "prompts.json", json.dumps(study).encode())
    shutil.copy(DOCS / "clipseg.md", tmp_path)
    fragments = reporting.report(root, tmp_path, draws=50)
    assert NOT_RUN not in "".join(fragments.values())
    page = (tmp_path / "clipseg.md").read_text()
    for name in reporting.FIGURES:
        assert (tmp_path / "clipseg" / f"{name}.svg").stat().st_size < 200_000
        assert f"(clipseg/{name}.svg)" in page
    assert page.count("not decided") >= len(ORDERINGS)  # most have one seed only


@unfinished
def test_every_variant_is_what_it_says() -> None:
    recipes: dict[str, Any] = {
        name: recipe_of(variant, 3, Settings(), words=Path("clip")) for name, variant in VARIANTS.items()
    }
    assert {recipe.seed for recipe in recipes.values()} == {3}
    assert {(recipe.steps, recipe.batch, recipe.size) for recipe in recipes.values()} == {(600, 32, 176)}
    usual = dataclasses.asdict(recipes["pc-plus"])
    assert (usual["visual"], usual["negatives"], usual["channels"]) == (True, 0.2, 64)
    apart = {
        name: {key for key, value in dataclasses.asdict(recipe).items() if value != usual[key]}
        for name, recipe in recipes.items()
    }
    assert apart["d16"] == {"channels"}
    assert apart["refined"] == {"refined"}
    assert apart["layer3"] == {"extract_layers"}
    assert apart["highlight"] == {"engineering"}
    assert apart["no-clip"] == {"towers"}
    assert apart["deconv"] == {"decoder", "extract_layers"}
    assert apart["vitseg"] == {"text_towers"}
    assert apart["negatives-0"] == apart["negatives-50"] == {"negatives"}
    assert apart["pc"] == {"name", "negatives", "visual", "prefixes"}
    assert apart["no-visual"] == {"name", "visual", "prefixes"}
    assert apart["d128"] == apart["pc"] | {"channels"}


def test_runs_are_shared_out_and_every_seed_comes_first() -> None:
    names = ["pc", "d16", "deconv"]
    everything = [(variant.name, seed) for variant, seed in planned(names, [0, 1])]
    assert everything == [("pc", 0), ("d16", 0), ("deconv", 0), ("pc", 1), ("d16", 1), ("deconv", 1)]
    parts = [[(variant.name, seed) for variant, seed in planned(names, [0, 1], (part, 2))] for part in (1, 2)]
    assert parts[0] == [("pc", 0), ("deconv", 0), ("d16", 1)]
    assert sorted(parts[0] + parts[1]) == sorted(everything)


def test_a_page_of_which_nothing_was_run_holds_no_number(tmp_path: Path) -> None:
    shutil.copy(DOCS / "clipseg.md", tmp_path)
    fragments = reporting.report(tmp_path / "nothing", tmp_path)
    assert fragments["orderings"].count(NOT_RUN) == 2 * len(ORDERINGS)
    assert fragments["variants"].count(NOT_RUN) == len(VARIANTS)
    assert not (tmp_path / "clipseg").exists()
    assert fragments["training"] == NOT_RUN


def test_every_ordering_compares_known_variants() -> None:
    for ordering in ORDERINGS:
        for variant, kind in (ordering.first, ordering.second):
            assert variant in VARIANTS
            assert kind in ("text", "visual")
        assert ordering.paper is None or ordering.paper[0] > ordering.paper[1]


def test_tables_go_between_their_markers_alone() -> None:
    page = "a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb"
    assert insert(page, "x", "new") == "a\n<!-- begin: x -->\n\nnew\n\n<!-- end: x -->\nb"
    assert insert(insert(page, "x", "new"), "x", "new") == insert(page, "x", "new")
    with pytest.raises(DataError, match="begin: y"):
        insert(page, "y", "new")
