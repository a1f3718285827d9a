"""What training minimises: pure functions of logits and ground truth, one value for each mask.

| loss | of | source |
|---|---|---|
| `bce` | every known pixel | CLIPSeg trains with nothing else (arXiv 2112.10003, section 4) |
| `balanced_bce` | inside and outside counted alike, however small the thing | the recipe `finetune` |
| `dice` | the overlap, of things that are there | Milletari et al., arXiv 1606.04797, with squares in the denominator |

All take logits, targets and `known`, the weight of each pixel, 0 where nothing is known. None of them averages over
masks: the mean over a batch is then the same however the batch is spread over processes.
"""

from wordmask.losses.bce import balanced_bce, bce
from wordmask.losses.dice import dice

__all__ = ["balanced_bce", "bce", "dice"]
