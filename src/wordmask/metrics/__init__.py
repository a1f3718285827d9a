"""Scores as pure functions on numpy arrays. One noun, one file; `wordmask.evaluation.score` runs them over data sets.

| file | functions |
|---|---|
| `overlap` | TP, FP, FN, TN in pixels; intersection over union |
| `binary` | recall, precision, specificity, Dice, IoU, MCC of single masks |
| `boundary` | boundary IoU |
| `confusion` | mIoU, frequency-weighted IoU and accuracies of label maps; seen and unseen classes |
| `thresholds` | CLIPSeg's sweep over 49 thresholds: `iou_fg`, `iou_bin`, AP in three definitions |
| `presence` | AUROC, false-positive rate at 95 % recall, AP, Brier score, calibration error |
| `detection` | COCO AP and AR of instance masks, boundary AP (needs pycocotools) |
| `proposals` | average recall, recall at an IoU |
| `bootstrap` | confidence intervals of any statistic of summed rows |
| `sizes` | size classes of targets |
| `simpson`, `means` | Simpson's rule; means and quotients with their undefined cases |

Scores are fractions, `nan` where undefined; counts are int64.
"""
