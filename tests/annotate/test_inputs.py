"""What arguments name: lists, globs, data sets with their labels, addresses; the preview of some of them."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest

from tests.annotate.jobs import run, write_images
from tests.fakes import BrightnessSegmenter
from wordmask.annotate.exporting import export_all
from wordmask.annotate.inputs import expand_inputs
from wordmask.annotate.job import JobSettings, journal_path, run_job
from wordmask.annotate.journal import Journal
from wordmask.annotate.labelled import LabelledSet
from wordmask.annotate.models import JobModel
from wordmask.annotate.ontology import Concept, Ontology, parse_prompt
from wordmask.annotate.preview import spread, write_preview
from wordmask.data.registry import open_data
from wordmask.errors import DataError, ImageError, MissingExtraError


def names(words: list[str]) -> list[str]:
    return [Path(source.uri).name for source in expand_inputs(words).images]


def test_files_folders_globs_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("a/b"), 2)
    write_images(Path("c"), 1, seed=4)
    Path("a/.hidden.png").write_bytes(b"")
    Path("a/0000.mask-bright.png").write_bytes(b"")
    Path("list.txt").write_text("# mine\na/b/0001.png\n\nc/0000.png\n")

    assert names(["a"]) == ["0000.png", "0001.png"]
    assert names(["a/**/*.png"]) == ["0000.png", "0001.png"]
    assert names(["list.txt"]) == ["0001.png", "0000.png"]
    assert names(["a", "a/b/0001.png", "c"]) == ["0000.png", "0001.png", "0000.png"]
    with pytest.raises(ImageError, match="at least one image"):
        expand_inputs(["*.webp"])


def test_many_arguments_do_not_take_the_square_of_the_time() -> None:
    words = [f"/photos/{number}.jpg" for number in range(20_000)]
    began = time.process_time()
    assert len(expand_inputs([*words, *words]).images) == 20_000
    assert time.process_time() - began < 10


def test_yolo_brings_its_labels_along(tmp_path: Path) -> None:
    write_images(tmp_path / "images" / "train", 2)
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "0000.txt").write_text(
        "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n1 0.5 0.5 0.5 1\n"
    )
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/train\nnames: [sign, pole]\n")
    run(tmp_path, tmp_path / "out")
    with Journal(journal_path(tmp_path / "out")) as journal:
        first, second = LabelledSet(journal)
    given = {one.name: one for one in first.objects if one.origin == "given"}
    assert (given["pole"].area, given["sign"].size) == (18 * 24, (24, 36))
    assert 150 <= given["sign"].area <= 240
    assert {one.name for one in second.objects} == {"bright"}
    (tmp_path / "labels" / "train" / "0001.txt").write_text("7 0 0 1\n")
    with pytest.raises(DataError, match="line 1"):
        expand_inputs([str(tmp_path / "data.yaml")])


def test_an_exported_coco_file_brings_its_images_and_labels_along(tmp_path: Path) -> None:
    paths = write_images(tmp_path / "in" / "sub", 2)
    run(tmp_path / "in", tmp_path / "out")
    with Journal(journal_path(tmp_path / "out")) as journal:
        export_all(LabelledSet(journal), tmp_path / "out", ["coco"])
    file = tmp_path / "out" / "coco" / "annotations.json"
    inputs = expand_inputs([str(file)])
    assert [Path(source.uri).resolve() for source in inputs.images] == paths
    assert [one.name for labels in inputs.labels.values() for one in labels] == ["bright", "bright"]
    assert [len(open_data(file)[index].queries) for index in range(2)] == [1, 1]


@pytest.mark.parametrize("missing", ["fsspec", "s3fs"])
def test_a_missing_library_of_an_address_is_told(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing != "fsspec":
        pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"'s3://bucket/folder'.*{missing}.*'\.\[remote\]'"):
        expand_inputs(["s3://bucket/folder"])


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_other_file_systems(scheme: str, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    paths = write_images(tmp_path / "in", 3)
    folder = f"memory://{tmp_path.name}" if scheme == "memory" else f"file://{tmp_path}/in"
    if scheme == "memory":
        for path in paths:
            with fsspec.open(f"{folder}/{path.name}", "wb") as file:
                file.write(path.read_bytes())
    inputs = expand_inputs([folder])
    model = JobModel("fake", BrightnessSegmenter)
    for known in (0, 3):
        ontology = Ontology.of([parse_prompt("bright")])
        summary = run_job(expand_inputs([folder]), ontology, tmp_path / "out", model, JobSettings())
        assert (summary.known, summary.bad) == (known, 0)
    assert len(inputs.images) == 3
    assert all(source.uri.startswith(f"{scheme}://") for source in inputs.images)
    with Journal(journal_path(tmp_path / "out")) as journal:
        export_all(LabelledSet(journal), tmp_path / "out", ["yolo"])
    copied = tmp_path / "out" / "yolo" / "images" / "train" / "0002.png"
    assert copied.read_bytes() == paths[2].read_bytes()


def test_addresses_of_unknown_kinds_are_told() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises((ImageError, MissingExtraError)):
        expand_inputs(["nosuch://bucket/folder"])


@pytest.mark.filterwarnings("ignore")
def test_rows_of_a_data_set(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    paths = write_images(tmp_path / "in", 3)
    rows = datasets.Dataset.from_dict({"image": [str(path) for path in paths]}).cast_column("image", datasets.Image())
    rows.to_parquet(tmp_path / "data" / "train.parquet")
    inputs = expand_inputs([f"hf:{tmp_path / 'data'}"])
    assert [source.read() for source in inputs.images] == [path.read_bytes() for path in paths]


def test_the_preview_shows_images_spread_over_the_folder(tmp_path: Path) -> None:
    write_images(tmp_path / "in", 9)
    images = expand_inputs([str(tmp_path / "in")]).images
    assert [Path(one.uri).name for one in spread(images, 3)] == ["0000.png", "0004.png", "0008.png"]
    ontology = Ontology.of([Concept("</script>", ("bright",), presence=0.3), Concept("cat", ("cat",))])
    path = tmp_path / "preview.html"
    assert write_preview(spread(images, 3), ontology, BrightnessSegmenter(), path, name="concepts.json") == 3
    page = path.read_text(encoding="utf-8")
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert [one["presence"] for one in data["classes"]] == [0.3, 0.5]
    assert [one["presence"] for one in data["images"][0]["classes"]] == [0.97, 0.02]
    assert "http" not in page.replace("https://", "").split("<script", 1)[0]
