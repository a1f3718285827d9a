"""Scores, each a pure function on numpy arrays, with thin accumulators over them. One noun, one file.

| file | accumulator | `update` takes | `compute` returns |
|---|---|---|---|
| `thresholds` | `Sweep` | `Judged` with probability | `ap`, `ap_2021`, `step_ap`; `iou_fg`, `iou_bin`, `miou` each as `_best`, `_best_t`, `@T` |
| `confusion` | `Confusion` | label maps: answer, truth | `miou`, `miou_truth`, `miou_zero`, `fwiou`, `pixel_accuracy`, `mean_accuracy`; with unseen classes `miou_seen`, `miou_unseen`, `harmonic` |
| `referring` | `Referring` | `Judged` | `oiou`, `miou`, `pr@X`; PhraseCut's `mean_mask_iou`, `cum_mask_iou` |
| `binary` | `Binary` | `Judged` | `recall`, `precision`, `specificity`, `dice`, `iou`, `mcc`, each also `_std` |
| `boundary` | `Boundary` | `Judged` | `boundary_iou`, `boundary_iou_2px` |
| `presence` | `Presence` | `Judged` with presence | `auroc`, `fpr@0.95`, `ap`, `mcc`, `brier`, `ece` |
| `proposals` | `Proposals` | `Judged`, proposals | `ar`, `r50`, `r75`, `mean_best_iou`, each also `@K`; `oracle_iou`, `chosen_iou`, `oracle_gap` |
| `mirror` | `Mirror` | `Judged`, mirrored mask | `mirror_iou`, `mirror_ratio` |
| `detection` | `Detection` | instances of a picture | `ap`, `ap50`, `ap75`, `ar1`, `ar10`, `ar100`, `ap_SIZE`, `ar_SIZE` |
| `sizes` | `BySize(any pairwise one)` | what that one takes | its scores as `SIZE/NAME` |

`judged` holds `Judged`, one answer beside one truth; `bootstrap` makes confidence intervals of rows that accumulators
keep (`rows()`) or evaluations store; `simpson` is the integral under `thresholds.ap`.

Every accumulator has `update`, `merge(other)`, `compute() -> dict[str, float]`, `state() -> dict` that JSON can hold,
and `from_state`. Scores are fractions, `nan` where undefined, and the same whatever the order of updates and merges.
Counts are int64. A judgement of which every pixel is ignored leaves no trace.
"""  # noqa: E501 - rows of a table
