"""Training: one loop for every recipe, on one processor or many.

| file | what it is |
|---|---|
| `recipes` | a recipe is a function that returns a complete `Recipe` |
| `sources` | the user's data: a registered name, a folder, a COCO JSON file or a CSV table |
| `inspection` | reads every sample before the training and says what is wrong, by file and line |
| `drawn` | PhraseCut+'s way of drawing samples, over any data |
| `order` | which sample comes when: a function of seed and step alone |
| `views` | a sample -> what the network sees: window, mirror, colours, phrases |
| `students` | a model whose parts are trained: `clipseg`, `compact` |
| `objective` | the recipe's sum of losses |
| `loop` | the loop |
| `checkpoints` | whole or not at all: what a run goes on from |
| `readouts` | outputs of a frozen tower, computed once and kept on disk |
| `validation` | IoU on pictures that are not trained on |
| `vocabulary`, `exam`, `guarding` | what else the model is asked before and after: names and phrases not trained on |
| `forgetting`, `report` | what got worse by that, and the page that says so |
| `folder`, `lock` | the run's folder: its record, and one run at a time |
| `run` | all of it together, in a run folder |
"""
