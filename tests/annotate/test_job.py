"""The job: what is done again and what is not, refused images, copies, shards, labels that were there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.annotate.jobs import CountingSegmenter, run, write_images
from wordmask.annotate.job import journal_path, locked_job, parse_shard
from wordmask.annotate.journal import Journal
from wordmask.annotate.labelled import LabelledSet
from wordmask.annotate.merge import merge_shards
from wordmask.errors import DataError, OutputError


def digest(out: Path) -> str:
    with Journal(journal_path(out), create=False) as journal:
        return journal.digest()


class TestResume:
    def test_a_second_run_asks_nothing_and_does_not_load_the_model(self, tmp_path: Path) -> None:
        write_images(tmp_path / "in", 6)
        first = run(tmp_path / "in", tmp_path / "out")

        def fail() -> None:
            raise AssertionError("the model was loaded")

        from wordmask.annotate.inputs import expand_inputs
        from wordmask.annotate.job import JobSettings, run_job
        from wordmask.annotate.models import JobModel
        from wordmask.annotate.ontology import Ontology, parse_prompt

        inputs = expand_inputs([str(tmp_path / "in")])
        ontology = Ontology.of([parse_prompt("bright")])
        again = run_job(inputs, ontology, tmp_path / "out", JobModel("fake", fail), JobSettings())  # type: ignore[arg-type]
        assert (first.done, first.known) == (6, 0)
        assert (again.done, again.known) == (0, 6)

    def test_a_new_phrase_alone_is_asked_and_the_class_name_costs_nothing(self, tmp_path: Path) -> None:
        write_images(tmp_path / "in", 3)
        run(tmp_path / "in", tmp_path / "out", ["bright"])
        model = CountingSegmenter()
        run(tmp_path / "in", tmp_path / "out", ["bright=light", "dark"], segmenter=model)

        assert model.asked == ["dark"] * 3

    @pytest.mark.parametrize("change", [{"method": "other weights"}, {"prompts": ["bright"]}])
    def test_another_model_is_asked_again(self, tmp_path: Path, change: dict[str, object]) -> None:
        write_images(tmp_path / "in", 2)
        run(tmp_path / "in", tmp_path / "out", ["bright"])
        model = CountingSegmenter()
        run(tmp_path / "in", tmp_path / "out", segmenter=model, **change)  # type: ignore[arg-type]

        assert model.asked == (["bright"] * 2 if "method" in change else [])

    def test_a_changed_file_is_asked_again_and_a_moved_one_is_not(self, tmp_path: Path) -> None:
        first, second = write_images(tmp_path / "in", 2)
        run(tmp_path / "in", tmp_path / "out")
        os.rename(first, first.with_name("moved.png"))
        second.write_bytes(write_images(tmp_path / "other", 1, seed=5)[0].read_bytes())
        model = CountingSegmenter()
        run(tmp_path / "in", tmp_path / "out", segmenter=model)

        assert model.encoded == 1

    def test_an_interrupted_run_ends_as_one_that_was_not(self, tmp_path: Path) -> None:
        images = write_images(tmp_path / "in", 11)

        def stop(event: str, facts: dict[str, object]) -> None:
            if event == "batch" and facts["passed"] == 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(images, tmp_path / "killed", report=stop)
        summary = run(images, tmp_path / "killed")
        run(images, tmp_path / "whole")

        assert (summary.known, summary.done) == (8, 3)
        assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


class TestImages:
    def test_bad_images_are_listed_and_copies_are_asked_once(self, tmp_path: Path) -> None:
        paths = write_images(tmp_path / "in", 5)
        (tmp_path / "in" / "straße 鏡.png").write_bytes(paths[0].read_bytes())
        (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
        (tmp_path / "in" / "empty.png").write_bytes(b"")
        model = CountingSegmenter()
        summary = run(tmp_path / "in", tmp_path / "out", segmenter=model)

        bad = [json.loads(line) for line in (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()]
        assert (summary.done, summary.copies, summary.bad) == (6, 1, 2)
        assert model.encoded == 5
        assert [Path(one["image"]).name for one in bad] == ["broken.jpg", "empty.png"]
        assert all("expected" in one["error"] for one in bad)

    def test_a_repaired_image_leaves_the_quarantine(self, tmp_path: Path) -> None:
        (path,) = write_images(tmp_path / "in", 1)
        whole = path.read_bytes()
        path.write_bytes(whole[:40])
        assert run(tmp_path / "in", tmp_path / "out").bad == 1
        path.write_bytes(whole)
        assert run(tmp_path / "in", tmp_path / "out").done == 1
        assert not (tmp_path / "out" / "quarantine.jsonl").exists()

    def test_results_of_wordmask_are_no_inputs(self, tmp_path: Path) -> None:
        write_images(tmp_path / "in" / "sub", 2)
        run(tmp_path / "in", tmp_path / "in" / "labelled")
        write_images(tmp_path / "in" / "labelled" / "label-map", 1)

        assert run(tmp_path / "in", tmp_path / "in" / "labelled").total == 2


class TestTwoProcesses:
    def test_a_folder_in_use_is_refused_in_a_sentence(self, tmp_path: Path) -> None:
        write_images(tmp_path / "in", 1)
        with locked_job(tmp_path / "out", None), pytest.raises(OutputError, match="--shard 1/2"):
            run(tmp_path / "in", tmp_path / "out")

    def test_merged_shards_equal_one_run(self, tmp_path: Path) -> None:
        images = write_images(tmp_path / "in", 13)
        (tmp_path / "in" / "bad.png").write_bytes(b"bad")
        for number in (1, 2, 3):
            run(tmp_path / "in", tmp_path / "out", shard=(number, 3))
        assert merge_shards(tmp_path / "out") == 3
        assert merge_shards(tmp_path / "out") == 3
        run(tmp_path / "in", tmp_path / "whole")

        assert digest(tmp_path / "out") == digest(tmp_path / "whole")
        assert run(images, tmp_path / "out").known == 13

    @pytest.mark.parametrize("text", ["0/2", "3/2", "a/b", "2", "1/"])
    def test_shards_that_are_none(self, text: str) -> None:
        with pytest.raises(DataError, match="--shard 2/8"):
            parse_shard(text)


class TestThresholds:
    def test_a_higher_presence_needs_no_new_answer_and_a_lower_one_does(self, tmp_path: Path) -> None:
        from dataclasses import replace

        from wordmask.annotate.inputs import expand_inputs
        from wordmask.annotate.job import JobSettings, run_job
        from wordmask.annotate.models import JobModel
        from wordmask.annotate.ontology import Concept, Ontology

        write_images(tmp_path / "in", 2)
        inputs, model = expand_inputs([str(tmp_path / "in")]), CountingSegmenter()
        concept = Concept("cat", ("cat",), presence=0.5)  # the fake's presence of what it does not know is 0.02
        for presence in (0.5, 0.9, 0.01, 0.3):
            ontology = Ontology.of([replace(concept, presence=presence)])
            run_job(inputs, ontology, tmp_path / "out", JobModel("fake", lambda: model), JobSettings())

        assert model.asked == ["cat"] * 4  # two images at 0.5, and again at 0.01

    def test_presence_decides_at_export(self, tmp_path: Path) -> None:
        from wordmask.annotate.labelled import Filters

        write_images(tmp_path / "in", 1)
        run(tmp_path / "in", tmp_path / "out")
        with Journal(journal_path(tmp_path / "out")) as journal:
            (shown,) = LabelledSet(journal)
            (hidden,) = LabelledSet(journal, Filters(presence={"bright": 0.99}))
        assert (len(shown.objects), len(hidden.objects)) == (1, 0)
        assert hidden.presence == {"bright": 0.97}
