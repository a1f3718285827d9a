"""Presences of classes in images that are known to show them or not: from a labelled set, or from a review."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wordmask.annotate.calibration import Evidence
from wordmask.annotate.corrections import CORRECTED, REVIEWED
from wordmask.prompts import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from wordmask.annotate.journal import Journal
    from wordmask.annotate.ontology import Ontology
    from wordmask.contracts import Dataset, Segmenter

__all__ = ["evidence_of_data", "evidence_of_review"]


def evidence_of_data(
    data: Dataset, ontology: Ontology, segmenter: Segmenter, report: Callable[[int, int], None] | None = None
) -> dict[str, Evidence]:
    """Ask a model for the classes of an ontology that a labelled set knows to be present or absent, image by image.

    A class is matched by its name or one of its phrases. Images in which neither is known say nothing.
    """
    positives: dict[str, list[float]] = {name: [] for name in ontology.names}
    negatives: dict[str, dict[str, float]] = {name: {} for name in ontology.names}
    for index in range(len(data)):
        sample = data[index]
        shown = {fold_phrase(query.label) for query in sample.queries if query.packed.area}
        shown |= {fold_phrase(query.prompt.name) for query in sample.queries if query.packed.area}
        absent = {fold_phrase(name) for name in sample.absent}
        known = []
        for concept in ontology.concepts:
            names = {fold_phrase(word) for word in (concept.name, *concept.phrases)}
            if names & shown or names & absent:
                known.append((concept, bool(names & shown)))
        if known:
            prompts = [prompt for concept, _ in known for prompt in concept.prompts]
            founds = iter(segmenter.segment(sample.image, prompts, presence_threshold=1.0).founds)
            for concept, is_shown in known:
                presence = max(next(founds).presence for _ in concept.prompts)
                if is_shown:
                    positives[concept.name].append(presence)
                else:
                    negatives[concept.name][sample.key] = presence
        if report is not None:
            report(index + 1, len(data))
    return {name: Evidence(tuple(positives[name]), negatives[name]) for name in ontology.names}


def evidence_of_review(journal: Journal) -> dict[str, Evidence]:
    """Take the presences of images that people reviewed: a class is there if they left a label of it."""
    classes = json.loads(journal.meta("classes") or "[]")
    positives: dict[str, list[float]] = {one["name"]: [] for one in classes}
    negatives: dict[str, dict[str, float]] = {one["name"]: {} for one in classes}
    for row in journal.images():
        given = journal.given(row.uri)
        if not any(origin == REVIEWED for _, _, origin in given):
            continue
        labels = {fold_phrase(name) for name, _, origin in given if origin == CORRECTED}
        known = journal.presences(row.content)
        for one in classes:
            presences = [known[key][0] for key in one["questions"] if key in known]
            if not presences:
                continue
            if fold_phrase(one["name"]) in labels:
                positives[one["name"]].append(max(presences))
            else:
                negatives[one["name"]][row.content] = max(presences)
    return {name: Evidence(tuple(positives[name]), negatives[name]) for name in positives}
