"""RefCOCO, RefCOCO+ and RefCOCOg: expressions that each refer to one object in an image of COCO.

Yu et al., arXiv 1608.00272 (RefCOCO, RefCOCO+); Mao et al., arXiv 1511.02283 (RefCOCOg, "google"); Nagaraja et al.,
arXiv 1608.00525 (RefCOCOg's partition "umd"). RefCOCO+ forbids words for places; RefCOCOg has whole sentences.
"testA" shows people, "testB" other objects.

Licence: the expressions' authors state none but the Apache-2.0 of their code; COCO's annotations are under CC BY 4.0,
its images under Flickr's terms of use.
Size: some 50 to 200 MB of annotations each; the images are COCO's `train2014.zip`, about 13 GB.
Where from: the archives `refcoco.zip`, `refcoco+.zip` and `refcocog.zip` that the repository `lichengunc/refer` names,
and COCO's home page, "2014 Train images".

    data/                                          <- the folder to give
    ├── refcoco/
    │   ├── instances.json                         COCO's annotations of the objects referred to
    │   ├── refs(unc).p                            a pickle of the expressions
    │   └── refs(google).p
    ├── refcoco+/{instances.json, refs(unc).p}
    ├── refcocog/{instances.json, refs(umd).p, refs(google).p}
    └── images/mscoco/images/train2014/COCO_train2014_000000000009.jpg     or elsewhere, see `images`

    data set   partition  splits                      expressions in them (val, testA or test, testB)
    refcoco    unc        train, val, testA, testB    10,834   5,657   5,095
    refcoco    google     train, val, test
    refcoco+   unc        train, val, testA, testB    10,758   5,726   4,889
    refcocog   umd        train, val, test             4,896   9,602
    refcocog   google     train, val

Every sentence about every object is a query. A sample is an image with all sentences of the split about its objects,
so that it is encoded once. The ground truth is the union of the object's polygons, filled as by pycocotools. The
pickles are read by `wordmask.data.unpickle`, which runs nothing that is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_image,
    read_json,
    require_choice,
    require_field,
    require_folder,
    require_index,
)
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.data.segmentations import decode_segmentation
from wordmask.data.unpickle import read_pickle
from wordmask.errors import PromptError, quote
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from wordmask.ops.masks import PackedMask

__all__ = ["PARTITIONS", "Expression", "Refer"]

_COCO_SPLITS = ("train", "val", "testA", "testB")
PARTITIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "refcoco": {"unc": _COCO_SPLITS, "google": ("train", "val", "test")},
    "refcoco+": {"unc": _COCO_SPLITS},
    "refcocog": {"umd": ("train", "val", "test"), "google": ("train", "val")},
}
"""The splits of every partition of every data set; the first partition is the default."""

TEXTS = ("sent", "raw")

_REFS = "expressions as the repository lichengunc/refer publishes them"
_INSTANCES = "the objects referred to, in COCO's instance format"
_REMEDY = "unpack the archive that the repository lichengunc/refer names"


@dataclass(frozen=True)
class Expression:
    """One sentence about one object.

    Attributes:
        key: `REF/SENTENCE`: the ids of both, unique in the partition.
        image: Id of the image.
        annotation: Id of the annotation of what is meant.
        prompt: The words.
    """

    key: str
    image: int
    annotation: int
    prompt: TextPrompt


class Refer:
    """RefCOCO, RefCOCO+ or RefCOCOg; one sample per image, one query per sentence, labelled with its own id."""

    names: tuple[str, ...] = ()
    exhaustive = False

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str = "refcoco",
        split: str = "val",
        partition: str | None = None,
        text: str = "sent",
        images: str | os.PathLike[str] | None = None,
    ) -> None:
        """Read the annotations; no image is read.

        Args:
            folder: What holds `refcoco`, `refcoco+` and `refcocog`.
            name: One of these.
            split: One of the partition's splits.
            partition: Who drew the splits: "unc", "google" or "umd"; None for the first of `PARTITIONS`.
            text: "sent", the words in lower case without signs, or "raw", as they were written.
            images: Folder of COCO's train2014 images; None for `images/mscoco/images/train2014` in `folder`.

        Raises:
            DataError: If a file is missing or malformed, or an argument has another value.
        """
        require_choice(name, tuple(PARTITIONS), "data set")
        partition = partition or next(iter(PARTITIONS[name]))
        require_choice(partition, tuple(PARTITIONS[name]), f"partition of {name}")
        require_choice(split, PARTITIONS[name][partition], f"split of {name} ({partition})")
        require_choice(text, TEXTS, "text")
        self.name, self.split, self.partition, self._text = name, split, partition, text
        root = require_folder(folder, "RefCOCO, RefCOCO+ or RefCOCOg", _REMEDY)
        self._images = Path(images) if images is not None else root / "images" / "mscoco" / "images" / "train2014"
        self._refs_file = root / name / f"refs({partition}).p"
        self._instances_file = root / name / "instances.json"
        self._expressions_of: dict[int, list[Expression]] = {}
        for expression in self._expressions():
            self._expressions_of.setdefault(expression.image, []).append(expression)
        self._order = tuple(self._expressions_of)
        self._files, self._sizes, self._segmentations = self._instances()

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the annotation files and the options."""
        options = [self.name, self.partition, self.split, self._text]
        return fingerprint([self._refs_file, self._instances_file], options=options)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Sample:
        """Return an image with all its expressions, in the order of the file.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If the image is missing or of another size, or a segmentation is malformed.
        """
        image = self._order[require_index(index, len(self))]
        size, expressions = self._sizes[image], self._expressions_of[image]
        instances = {
            number: GroundTruthInstance.of_mask(self._mask(number, size))
            for number in {expression.annotation for expression in expressions}
        }
        return Sample(
            key=str(image),
            image=read_image(self._images / self._files[image], size, "an image of COCO's train2014", as_stored=True),
            size=size,
            queries=tuple(_query(expression, instances[expression.annotation]) for expression in expressions),
        )

    def _mask(self, annotation: int, size: tuple[int, int]) -> PackedMask:
        segmentation, of = self._segmentations[annotation], f"annotation {annotation}"
        mask = pack(decode_segmentation(segmentation, size, self._instances_file, of))
        if not mask.area:
            raise malformed(self._instances_file, _INSTANCES, f"an empty mask of {of}", _REMEDY)
        return mask

    # --- files -----------------------------------------------------------------------------------------------------

    def _expressions(self) -> Iterator[Expression]:
        path, found = self._refs_file, False
        for place, ref in enumerate(read_pickle(path, _REFS, list, _REMEDY)):
            of = f"ref {place}"
            if require_field(ref, "split", str, path, _REFS, of=of) != self.split:
                continue
            numbers = [require_field(ref, field, int, path, _REFS, of=of) for field in ("ref_id", "image_id", "ann_id")]
            for sentence in require_field(ref, "sentences", list, path, _REFS, of=of):
                number = require_field(sentence, "sent_id", int, path, _REFS, of=f"a sentence of {of}")
                words = require_field(sentence, self._text, str, path, _REFS, of=f"a sentence of {of}")
                found = True
                yield Expression(f"{numbers[0]}/{number}", numbers[1], numbers[2], self._prompt(words, of))
        if not found:
            raise malformed(path, _REFS, f"nothing in split {self.split!r}", _REMEDY)

    def _prompt(self, words: str, of: str) -> TextPrompt:
        try:
            return TextPrompt(words)
        except PromptError as error:
            raise malformed(self._refs_file, _REFS, f"the expression {quote(words)} in {of}", _REMEDY) from error

    def _instances(self) -> tuple[dict[int, str], dict[int, tuple[int, int]], dict[int, Any]]:
        """Return file names and sizes `(H, W)` of images, and segmentations, of this split alone."""
        path = self._instances_file
        content = read_json(path, _INSTANCES, dict, _REMEDY)
        files, sizes = {}, {}
        for place, record in enumerate(require_field(content, "images", list, path, _INSTANCES)):
            of = f"image {place}"
            image, height, width = (
                require_field(record, field, int, path, _INSTANCES, of=of) for field in ("id", "height", "width")
            )
            files[image] = require_field(record, "file_name", str, path, _INSTANCES, of=of)
            sizes[image] = (height, width)
        asked = {expression.annotation for expressions in self._expressions_of.values() for expression in expressions}
        segmentations = {}
        for place, record in enumerate(require_field(content, "annotations", list, path, _INSTANCES)):
            annotation = require_field(record, "id", int, path, _INSTANCES, of=f"annotation {place}")
            if annotation in asked:
                segmentations[annotation] = record.get("segmentation")
        self._check_known(self._expressions_of.keys() - files.keys(), "image")
        self._check_known(asked - segmentations.keys(), "annotation")
        return files, {image: sizes[image] for image in self._order}, segmentations

    def _check_known(self, missing: set[int], what: str) -> None:
        if missing:
            problem = f"no {what} {min(missing)}, which {self._refs_file.name} names"
            raise malformed(self._instances_file, _INSTANCES, problem, _REMEDY)


def _query(expression: Expression, instance: GroundTruthInstance) -> Query:
    assert instance.mask is not None
    return Query(expression.prompt, instance.mask, expression.key, (instance,))
