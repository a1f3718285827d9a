"""What every data set promises, as tests that each data set's own test class inherits.

A data set that lies in a folder inherits `FolderContract`: its test class says how a small one in the authors' layout
is written (fixture `folder`), how it is opened (`build`), and which files can be missing or damaged (`malformed`).
One that is made in memory inherits `DatasetContract` and needs `build` only.

    class TestVoc(FolderContract):
        annotations = ("SegmentationClass/2007_000032.png",)
        images = "JPEGImages/*.jpg"
        options: ClassVar[dict[str, Any]] = {"background": True}
        malformed = (("SegmentationClass/2007_000032.png", b"no image"), ("ImageSets/Segmentation/val.txt", None))

        @pytest.fixture
        def folder(self, tmp_path: Path) -> Path:
            return write_voc(tmp_path / "voc")

        def build(self, folder: Path, **options: Any) -> Dataset:
            return Voc(folder, "val", **options)
"""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from wordmask.contracts import Dataset
from wordmask.data.sample import UNKNOWN, Sample
from wordmask.errors import DataError
from wordmask.images import load_image
from wordmask.ops.masks import PackedMask, union
from wordmask.prompts import MixedPrompt, Prompt, TextPrompt, VisualPrompt


def write_image(path: Path, size: tuple[int, int] = (4, 6), *, seed: int = 0) -> Path:
    """Write an image of noise, `size = (H, W)`, in the format of the path's ending; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_labels(path: Path, values: Any, *, bits: int = 8) -> Path:
    """Write a label map `(H, W)` of 8 or 16 bits; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8 if bits == 8 else np.uint16)).save(path)
    return path


def samples(dataset: Dataset) -> list[Sample]:
    """Every sample, in order."""
    return [dataset[index] for index in range(len(dataset))]


def assert_same_mask(first: PackedMask | None, second: PackedMask | None) -> None:
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert first.size == second.size
        np.testing.assert_array_equal(first.full(), second.full())


def assert_same_sample(first: Sample, second: Sample) -> None:
    """Compare everything that two samples hold, images and example prompts by their pixels."""
    assert (first.key, first.size, first.absent) == (second.key, second.size, second.absent)
    np.testing.assert_array_equal(load_image(first.image).pixels, load_image(second.image).pixels)
    assert [query.label for query in first.queries] == [query.label for query in second.queries]
    for one, other in zip(first.queries, second.queries, strict=True):
        assert_same_mask(one.packed, other.packed)
        boxes = [[(each.box, each.crowd) for each in query.instances] for query in (one, other)]
        assert boxes[0] == boxes[1]
        assert_same_prompt(one.prompt, other.prompt)
    assert_same_mask(first.ignored, second.ignored)
    assert (first.labels is None) == (second.labels is None)
    if first.labels is not None:
        np.testing.assert_array_equal(first.labels, second.labels)


def assert_same_prompt(first: Prompt, second: Prompt) -> None:
    assert (type(first), first.name) == (type(second), second.name)
    if isinstance(first, TextPrompt):
        assert first == second
    for one, other in zip(_examples(first), _examples(second), strict=True):
        np.testing.assert_array_equal(one.region, other.region)
        np.testing.assert_array_equal(one.example.pixels, other.example.pixels)


def _examples(prompt: Prompt) -> list[VisualPrompt]:
    if isinstance(prompt, MixedPrompt):
        return [prompt.visual]
    return [prompt] if isinstance(prompt, VisualPrompt) else []


class DatasetContract:
    """Tests of one data set through its public interface only."""

    options: ClassVar[Mapping[str, Any]] = {}
    """Arguments of `build` that make other samples of the same files; {} where there are none."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Return the folder that `build` reads; an empty one for data made in memory."""
        return tmp_path

    def build(self, folder: Path, **options: Any) -> Dataset:
        raise NotImplementedError("say how the data set is opened")

    @pytest.fixture
    def dataset(self, folder: Path) -> Dataset:
        return self.build(folder)

    def test_it_fulfils_the_contract(self, dataset: Dataset) -> None:
        assert isinstance(dataset, Dataset)
        assert isinstance(dataset.name, str)
        assert dataset.name
        assert isinstance(dataset.split, str)
        assert dataset.split
        assert isinstance(dataset.names, tuple)
        assert all(isinstance(name, str) and name for name in dataset.names)
        assert len(set(dataset.names)) == len(dataset.names)
        assert len(dataset) > 0

    def test_every_sample_is_sound(self, dataset: Dataset) -> None:
        for sample in samples(dataset):
            assert load_image(sample.image).size == sample.size
            assert isinstance(sample.key, str)
            assert isinstance(sample.queries, tuple)
            for query in sample.queries:
                assert isinstance(query.prompt, Prompt)
                assert isinstance(query.label, str)
                assert query.label
                assert query.packed.size == query.mask.shape == sample.size
            assert sample.ignored is None or sample.ignored.full().shape == sample.size

    def test_keys_tell_samples_apart(self, dataset: Dataset) -> None:
        keys = [sample.key for sample in samples(dataset)]
        assert len(set(keys)) == len(keys)

    def test_ignored_pixels_are_in_no_mask_and_have_no_label(self, dataset: Dataset) -> None:
        for sample in samples(dataset):
            if sample.ignored is None:
                continue
            ignored = sample.ignored.full()
            assert not any((query.mask & ignored).any() for query in sample.queries)
            if sample.labels is not None:
                assert (sample.labels[ignored] == UNKNOWN).all()

    def test_labels_are_positions_among_the_names(self, dataset: Dataset) -> None:
        for sample in samples(dataset):
            if sample.labels is None:
                continue
            assert sample.labels.shape == sample.size
            assert sample.labels.dtype == np.int32
            assert UNKNOWN <= int(sample.labels.min()) <= int(sample.labels.max()) < len(dataset.names)
            for query in sample.queries:
                if query.label in dataset.names:
                    expected = sample.labels == dataset.names.index(query.label)
                    np.testing.assert_array_equal(query.mask, expected)

    def test_absent_names_are_not_asked_for(self, dataset: Dataset) -> None:
        for sample in samples(dataset):
            assert isinstance(sample.absent, tuple)
            assert len(set(sample.absent)) == len(sample.absent)
            asked = {query.label for query in sample.queries} | {query.prompt.name for query in sample.queries}
            assert not asked & set(sample.absent)
            for index, name in enumerate(dataset.names):
                if name in sample.absent and sample.labels is not None:
                    assert not (sample.labels == index).any()

    def test_exhaustive_sets_name_what_is_absent(self, dataset: Dataset) -> None:
        assert isinstance(dataset.exhaustive, bool)
        if dataset.exhaustive:
            for sample in samples(dataset):
                asked = {query.label for query in sample.queries if query.packed.area}
                missing = set(dataset.names) - asked - {"background"}
                assert set(sample.absent) & set(dataset.names) <= missing
                assert sample.absent or len(missing) < 2  # a covered thing may leave one name open

    def test_instances_make_up_the_mask(self, dataset: Dataset) -> None:
        for sample in samples(dataset):
            for query in sample.queries:
                masks = [instance.mask for instance in query.instances if instance.mask is not None]
                assert all(mask.size == sample.size for mask in masks)
                assert query.boxes_only == (not masks and bool(query.instances))
                for instance in query.instances:
                    x0, y0, x1, y1 = instance.box
                    assert 0 <= x0 <= x1 <= sample.size[1]
                    assert 0 <= y0 <= y1 <= sample.size[0]
                if masks:
                    assert_same_mask(union([*masks]), query.packed)

    def test_reading_twice_gives_the_same(self, dataset: Dataset) -> None:
        first = samples(dataset)
        for index in reversed(range(len(dataset))):
            assert_same_sample(dataset[index], first[index])

    def test_there_is_nothing_outside(self, dataset: Dataset) -> None:
        for index in (-1, len(dataset), len(dataset) + 7):
            with pytest.raises(IndexError):
                dataset[index]

    def test_it_travels_to_worker_processes(self, dataset: Dataset) -> None:
        copy = pickle.loads(pickle.dumps(dataset))
        assert (copy.name, copy.split, copy.names) == (dataset.name, dataset.split, dataset.names)
        assert copy.fingerprint == dataset.fingerprint
        for one, other in zip(samples(dataset), samples(copy), strict=True):
            assert_same_sample(one, other)

    def test_the_fingerprint_knows_the_options(self, folder: Path) -> None:
        fingerprint = self.build(folder).fingerprint
        assert re.fullmatch("[0-9a-f]{8,16}", fingerprint)
        assert self.build(folder).fingerprint == fingerprint
        for name, value in self.options.items():
            assert self.build(folder, **{name: value}).fingerprint != fingerprint, name


class FolderContract(DatasetContract):
    """Tests of a data set that lies in a folder, in its authors' layout.

    Attributes:
        annotations: Files under `folder` whose bytes the fingerprint must depend on.
        images: Glob of the images under `folder`.
        malformed: File under `folder` -> what it holds instead (None: it is missing). Opening the data set or reading
            all its samples must fail with an error that names the file. To break one file in several ways, use
            `(file, contents)` pairs in a tuple.
    """

    annotations: ClassVar[tuple[str, ...]]
    images: ClassVar[str]
    malformed: ClassVar[Mapping[str, bytes | None] | tuple[tuple[str, bytes | None], ...]]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        raise NotImplementedError("write a small data set in the authors' layout")

    def test_opening_reads_no_image(self, folder: Path) -> None:
        count = len(self.build(folder))
        found = sorted(folder.glob(self.images))
        assert found
        for path in found:
            path.write_bytes(b"no image")
        assert len(self.build(folder)) == count

    def test_the_fingerprint_knows_the_annotations_and_not_the_place(self, folder: Path, tmp_path: Path) -> None:
        fingerprint = self.build(folder).fingerprint
        elsewhere = _copy(folder, tmp_path / "copies" / "elsewhere")
        assert self.build(elsewhere).fingerprint == fingerprint
        for index, name in enumerate(self.annotations):
            changed = _copy(folder, tmp_path / "copies" / f"changed-{index}")
            with (changed / name).open("ab") as file:
                file.write(b"\n")  # JSON, text, PNG and pickles are read as before
            assert self.build(changed).fingerprint != fingerprint, name

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"expected .+: .+\.$") as caught:
            samples(self.build(tmp_path / "no-such-folder"))
        assert "no-such-folder" in str(caught.value)

    def test_missing_and_malformed_files_are_named(self, folder: Path, tmp_path: Path) -> None:
        cases = self.malformed.items() if isinstance(self.malformed, Mapping) else self.malformed
        assert len(cases) > 0
        for index, (name, content) in enumerate(cases):
            broken = _copy(folder, tmp_path / "copies" / f"broken-{index}")
            assert (broken / name).is_file(), name
            (broken / name).unlink() if content is None else (broken / name).write_bytes(content)
            with pytest.raises(DataError, match=r"^Got .+, expected .+: .+\.$") as caught:
                samples(self.build(broken))
            assert Path(name).name in str(caught.value), name
            assert "\n" not in str(caught.value)


def _copy(folder: Path, target: Path) -> Path:
    """Copy a folder under the same name into `target`; `folder` may itself hold `target`'s parent."""
    shutil.copytree(folder, target / folder.name, ignore=shutil.ignore_patterns("copies"))
    return target / folder.name
