"""Reported values of papers: tables as printed and corrections, each with its source, in percent."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CORRECTIONS", "TABLES", "Row", "Table"]

_WEIGHTS = "not measured yet: needs the published weights and the data set"
_NO_WEIGHTS = "no weights published"
_OTHERS = "another group's method, for comparison"
_NO_METHOD = "method not part of this package yet"


@dataclass(frozen=True)
class Row:
    """One printed row.

    Attributes:
        method: As the table calls it.
        values: Printed values, one per column; None where the table has none.
        model: What `wordmask evaluate --model` calls it; None where it cannot be run here.
        why: Why there is no value of ours, if there is none.
    """

    method: str
    values: tuple[float | None, ...]
    model: str | None = None
    why: str = _WEIGHTS


@dataclass(frozen=True)
class Table:
    """One printed table, or the part of one that shares a split.

    Attributes:
        title: For people.
        source: Paper and table, and through whom it is known if not from the paper itself.
        benchmark: By which it is measured here.
        preset: Its reading.
        split: Its part of the data.
        columns: Printed name and the score of ours that it is.
        rows: The methods.
        note: What a reader must know.
    """

    title: str
    source: str
    benchmark: str
    preset: str
    split: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    note: str = ""


_CLIPSEG = "Lüddecke and Ecker, CVPR 2022 (arXiv 2112.10003)"
_PC = "CIDAS/clipseg-rd64"


def _others(*rows: tuple[str, float | None, float | None, float | None]) -> tuple[Row, ...]:
    return tuple(Row(name, tuple(values), why=_OTHERS) for name, *values in rows)


def _referring(title: str, benchmark: str, splits: tuple[str, ...], rows: dict[str, tuple[float | None, ...]],
               score: str, source: str) -> tuple[Table, ...]:  # fmt: skip
    return tuple(
        Table(f"{title} {split}, {score}", source, benchmark, "paper", split, ((score, score.lower()),),
              tuple(Row(method, (values[place],), why=_NO_METHOD if method.startswith("TAS") else _OTHERS)
                    for method, values in rows.items()))
        for place, split in enumerate(splits)
    )  # fmt: skip


_OIOU_SOURCE = "as quoted by a later paper, Your Large Vision-Language Model Only Needs A Few Attention Heads, table 2"
_MIOU_SOURCE = "as quoted by CLIP as RNN (CaR), table 7; the TAS rows are unverified: its paper could not be opened"

TABLES: tuple[Table, ...] = (
    Table(
        "PhraseCut, text", f"{_CLIPSEG}, table 3", "phrasecut", "paper", "test",
        (("mIoU, t=0.3", "miou@0.3"), ("IoU_FG, t=0.3", "iou_fg@0.3"), ("AP", "ap_2021")),
        (
            Row("CLIPSeg (PC+)", (43.4, 54.7, 76.7), _PC),
            Row("CLIPSeg (PC, D=128)", (48.2, 56.5, 78.2), why=_NO_WEIGHTS),
            Row("CLIPSeg (PC)", (46.1, 56.2, 78.2), why=_NO_WEIGHTS),
            Row("CLIP-Deconv", (37.7, 49.5, 71.2), why=_NO_WEIGHTS),
            Row("ViTSeg (PC+), t=0.1", (28.4, 35.4, 58.3), why=_NO_WEIGHTS),
            Row("ViTSeg (PC)", (38.9, 51.2, 74.4), why=_NO_WEIGHTS),
            *_others(("MDETR", 53.7, None, None), ("HulaNet", 41.3, 50.8, None), ("Mask-RCNN top", 39.4, 47.4, None),
                     ("RMI", 21.1, 42.5, None)),
        ),
    ),
    Table(
        "PhraseCut, ablation, text", f"{_CLIPSEG}, table 9", "phrasecut", "paper", "test",
        (("mIoU, best t", "miou_best"), ("AP", "ap_2021")),
        (
            Row("CLIPSeg (PC+)", (43.6, 76.7), _PC), Row("no CLIP pre-training", (13.1, 12.6), why=_NO_WEIGHTS),
            Row("no visual", (46.4, 77.8), why=_NO_WEIGHTS), Row("D=16", (37.4, 71.5), "CIDAS/clipseg-rd16"),
            Row("only layer 3", (31.9, 64.9), why=_NO_WEIGHTS), Row("highlight mask", (43.4, 75.4), why=_NO_WEIGHTS),
        ),
    ),
    Table(
        "PhraseCut, ablation, visual", f"{_CLIPSEG}, table 9", "phrasecut-visual", "paper", "test",
        (("mIoU, best t", "miou_best"), ("AP", "ap_2021")),
        (
            Row("CLIPSeg (PC+)", (25.4, 55.6), _PC), Row("no CLIP pre-training", (12.7, None), why=_NO_WEIGHTS),
            Row("no visual", (14.4, 31.0), why=_NO_WEIGHTS), Row("D=16", (24.7, 51.2), "CIDAS/clipseg-rd16"),
            Row("only layer 3", (21.5, 48.6), why=_NO_WEIGHTS), Row("highlight mask", (23.3, 43.8), why=_NO_WEIGHTS),
        ),
    ),
    *(
        Table(
            f"PASCAL VOC, generalised zero-shot, {number} unseen", f"{_CLIPSEG}, table 4", "pascal-zero-shot", "code",
            f"unseen{number}", (("mIoU seen", "miou_seen"), ("mIoU unseen", "miou_unseen")),
            (
                Row("CLIPSeg (PC+)", own[0], why=_NO_WEIGHTS), Row("CLIP-Deconv (PC+)", own[1], why=_NO_WEIGHTS),
                Row("ViTSeg (PC+)", own[2], why=_NO_WEIGHTS),
                *(Row(method, values, why=_OTHERS) for method, values in others.items()),
            ),
            "As printed. See the first correction: the columns of the first three rows are probably exchanged.",
        )
        for number, own, others in (
            (10, ((35.7, 43.1), (25.1, 36.7), (4.2, 19.0)),
             {"SPNet": (59.0, 18.1), "ZS3Net": (33.9, 18.1), "CSRL": (59.2, 21.0), "OSR": (72.1, 33.9),
              "JoEm": (63.4, 22.5)}),
            (4, ((20.8, 47.3), (25.9, 41.9), (6.0, 24.8)),
             {"SPNet": (67.3, 21.8), "ZS3Net": (66.4, 23.2), "CSRL": (69.8, 31.7), "CaGNet": (69.5, 40.2),
              "OSR": (75.0, 44.1), "JoEm": (67.0, 33.4)}),
        )
    ),
    Table(
        "PASCAL-5i, one-shot, mean of four folds", f"{_CLIPSEG}, table 5", "pascal5i", "paper", "all",
        (("mIoU, t=0.3", "miou@0.3"), ("IoU_BIN, t=0.3", "iou_bin@0.3"), ("AP", "ap_2021")),
        (
            Row("CLIPSeg (PC+)", (59.5, 75.0, 82.3), why=_NO_WEIGHTS),
            Row("CLIPSeg (PC)", (52.3, 69.5, 72.4), why=_NO_WEIGHTS),
            Row("CLIP-Deconv (PC+), t=0.2", (48.0, 65.8, 68.0), why=_NO_WEIGHTS),
            Row("ViTSeg (PC+), t=0.2", (39.0, 59.0, 62.4), why=_NO_WEIGHTS),
            *_others(("PPNet, RN50", 52.8, 69.2, None), ("RePRI, RN50", 59.7, None, None),
                     ("PFENet, RN50", 60.2, 73.3, None), ("HSNet, RN50", 64.0, 76.7, None),
                     ("PPNet, RN101", 55.2, 70.9, None), ("RePRI, RN101", 59.4, None, None),
                     ("PFENet, RN101", 59.6, 72.9, None), ("HSNet, RN101", 66.2, 77.6, None)),
        ),
        "The models leave out the fold's classes in training; the published weights do not. The ViTSeg row equals that "
        "of table 7: it was computed from the test with words.",
    ),
    Table(
        "COCO-20i, one-shot, mean of four folds", f"{_CLIPSEG}, table 6", "coco20i", "paper", "all",
        (("mIoU, t=0.1", "miou@0.1"), ("IoU_BIN, t=0.1", "iou_bin@0.1"), ("AP", "ap_2021")),
        (
            Row("CLIPSeg (COCO)", (33.2, 58.4, 40.5), why=_NO_WEIGHTS),
            Row("CLIPSeg (COCO+N)", (33.3, 59.1, 41.7), why=_NO_WEIGHTS),
            Row("CLIP-Deconv (COCO+N)", (29.8, 56.8, 40.8), why=_NO_WEIGHTS),
            Row("ViTSeg (COCO)", (14.4, 46.1, 15.7), why=_NO_WEIGHTS),
            *_others(("PPNet, RN50", 29.0, None, None), ("RePRI, RN50", 34.0, None, None),
                     ("PFENet, RN50", 35.8, None, None), ("HSNet, RN50", 39.2, 68.2, None),
                     ("HSNet, RN101", 41.2, 69.1, None)),
        ),
    ),
    Table(
        "PASCAL-5i, zero-shot, mean of four folds", f"{_CLIPSEG}, table 7", "pascal5i-text", "paper", "all",
        (("mIoU, t=0.3", "miou@0.3"), ("IoU_BIN, t=0.3", "iou_bin@0.3"), ("AP", "ap_2021")),
        (
            Row("CLIPSeg (PC+)", (72.4, 83.1, 93.5), why=_NO_WEIGHTS),
            Row("CLIPSeg (PC)", (70.3, 81.6, 84.8), why=_NO_WEIGHTS),
            Row("CLIP-Deconv (PC+)", (63.2, 77.3, 85.3), why=_NO_WEIGHTS),
            Row("ViTSeg (PC+), t=0.2", (39.0, 59.0, 62.4), why=_NO_WEIGHTS),
            *_others(("LSeg", 52.3, 67.0, None), ("PFENet, VGG16", 54.2, None, None)),
        ),
    ),
    *_referring("RefCOCO", "refcoco", ("val", "testA", "testB"), {
        "Global-Local CLIP": (24.9, 23.6, 24.7), "TAS": (29.5, 30.3, 28.2), "Ref-Diff": (35.2, 37.4, 34.5),
    }, "oIoU", _OIOU_SOURCE),
    *_referring("RefCOCO+", "refcoco+", ("val", "testA", "testB"), {
        "Global-Local CLIP": (26.2, 24.9, 25.8), "TAS": (33.2, 38.8, 28.0), "Ref-Diff": (35.6, 38.7, 31.4),
    }, "oIoU", _OIOU_SOURCE),
    *_referring("RefCOCOg", "refcocog", ("umd-val", "umd-test"), {
        "Global-Local CLIP": (31.1, 31.0), "TAS": (35.8, 36.2), "Ref-Diff": (38.6, 37.5),
    }, "oIoU", _OIOU_SOURCE),
    *_referring("RefCOCO", "refcoco", ("val", "testA", "testB"), {
        "Global-Local CLIP": (26.20, 24.94, 26.56), "CaR": (33.57, 35.36, 30.51),
        "TAS, ViT-B/32 (unverified)": (39.84, 41.08, 36.24), "TAS, RN50 (val corroborated)": (39.9, 42.9, 35.9),
    }, "mIoU", _MIOU_SOURCE),
    *_referring("RefCOCO+", "refcoco+", ("val", "testA", "testB"), {
        "Global-Local CLIP": (27.80, 25.64, 27.84), "CaR": (34.22, 36.03, 31.02),
        "TAS, ViT-B/32 (unverified)": (43.63, 49.13, 36.54), "TAS, RN50 (unverified)": (44.0, 50.6, 36.4),
    }, "mIoU", _MIOU_SOURCE),
    *_referring("RefCOCOg", "refcocog", ("umd-val", "umd-test", "google-val"), {
        "Global-Local CLIP": (33.52, 33.67, 33.61), "CaR": (36.67, 36.57, 36.63),
        "TAS, ViT-B/32 (unverified)": (46.62, 46.80, 48.05), "TAS, RN50 (google-val corroborated)": (47.7, 47.4, 48.7),
    }, "mIoU", _MIOU_SOURCE),
    *(
        Table(
            title, source, benchmark, "paper", "val", (("mIoU", "miou"),),
            (Row("PMP", (None,), why="the paper's cells were not available; it claims 1 to 3 points over its hosts"),
             *(Row(host, (value,), why=_OTHERS) for host, value in hosts.items())),
        )
        for benchmark, title, source, hosts in (
            ("ade20k-847", "ADE20K, 847 names", "the hosts' own repositories",
             {"OVSeg, Swin-B": 9.0, "SAN, ViT-L/14": 12.96, "ODISE (label)": 11.1, "FC-CLIP, ConvNeXt-L": 14.8}),
            ("pascal-context-459", "Pascal-Context, 459 names", "the hosts' own repositories",
             {"OVSeg, Swin-B": 12.4, "SAN, ViT-L/14": 20.83, "ODISE (label)": 14.5, "FC-CLIP, ConvNeXt-L": 18.2}),
            ("ade20k-150", "ADE20K, 150 names", "the hosts' own repositories",
             {"OVSeg, Swin-B": 29.6, "SAN, ViT-L/14": 31.93, "ODISE (label)": 29.9, "FC-CLIP, ConvNeXt-L": 34.1}),
            ("pascal-context-59", "Pascal-Context, 59 names", "the hosts' own repositories",
             {"OVSeg, Swin-B": 55.7, "SAN, ViT-L/14": 57.53, "ODISE (label)": 57.3, "FC-CLIP, ConvNeXt-L": 58.4}),
            ("pas-20", "PASCAL VOC 2012, 20 names", "the hosts' own repositories",
             {"OVSeg, Swin-B": 94.5, "SAN, ViT-L/14": 95.18, "FC-CLIP, ConvNeXt-L": 95.4}),
            ("pas-21", "PASCAL VOC 2012, 20 names and background", "the hosts' own repositories",
             {"ODISE (label)": 84.6, "ODISE (caption)": 82.7, "FC-CLIP, ConvNeXt-L": 81.8}),
            ("coco-stuff-171", "COCO-Stuff, 171 names (trained on)", "SAN's log files",
             {"SAN, ViT-B/16": 41.93, "SAN, ViT-L/14": 45.57}),
        )
    ),
    Table(
        "CelebAMask-HQ, eyes", "IMSS, abstract; the table itself was not available", "celebamask-eyes", "paper", "test",
        (("IoU, mean over images", "iou"),),
        (Row("IMSS, headline", (82.9,), why=_NO_METHOD), Row("IMSS, left eye", (82.17,), why=_NO_METHOD),
         Row("IMSS, right eye", (83.13,), why=_NO_METHOD)),
        "See the second correction.",
    ),
)  # fmt: skip

CORRECTIONS: tuple[tuple[str, str], ...] = (
    (
        "CLIPSeg, table 4: seen and unseen are probably exchanged",
        "Its scorer calls JoEm's `Evaluator(num_class, seen, unseen)` as (21, unseen, seen) in every version that was "
        "published, and that signature never changed. Printed, CLIPSeg (PC+) has 35.7 seen and 43.1 unseen with 10 "
        "unseen classes, 20.8 and 47.3 with 4: better on what it never saw. Read the other way it has 43.1 seen and "
        "35.7 unseen, 47.3 and 20.8. The same holds for CLIP-Deconv (36.7 / 25.1 and 41.9 / 25.9) and ViTSeg (19.0 / "
        "4.2 and 24.8 / 6.0). Here scores are taken by the names of the classes; both readings stay beside them.",
    ),
    (
        "IMSS: 82.9 or 82.65",
        "The abstract's headline for eyes is 82.9 % IoU, its values for the left and the right eye are 82.17 % and "
        "83.13 %, whose mean is 82.65 %. The text does not say how 82.9 arises; a mean weighted by the number of eyes "
        "would need about three right eyes for each left one. Here `iou` is the mean over all eyes to be seen, and "
        "`by_name` has each.",
    ),
    (
        "TAS on RefCOCOg",
        "A table of results that circulates gives TAS 48.7 'cIoU' on RefCOCOg val and 39.9 on 'RefCOCO UMD val'. Its "
        "overall IoU is 35.8 on val (umd); 48.7 and 39.9 are mean IoU, of RefCOCOg's google val and of RefCOCO's val "
        "(unc). RefCOCOg has two partitions with one split called val each: here they are umd-val and google-val.",
    ),
    (
        "CLIPSeg, table 8: 'mIoU' is not mean IoU",
        "The column is filled with the best foreground IoU. The table needs a selection from LVIS whose code was "
        "dropped; there is no benchmark for it here.",
    ),
    (
        "CLIPSeg: AP depends on SciPy's version",
        "AP is Simpson's rule over irregular recalls, and that rule changed in SciPy 1.11 for an even number of "
        "points. `ap_2021` is the older one, with which the paper's numbers were made, `ap` the newer one; `step_ap` "
        "is conventional average precision. A hard mask has an `ap` of 0.",
    ),
)
