"""Training: one loop for every recipe, on one processor or many.

| file | what it is |
|---|---|
| `recipes` | a recipe is a function that returns a complete `Recipe` |
| `sources` | the user's data: a catalogue name, a folder, a COCO JSON file or a CSV table |
| `inspection` | reads every sample before the training and says what is wrong, by file and line |
| `order` | which sample comes when: a function of seed and step alone |
| `views` | a sample -> what the network sees: window, mirror, colours, phrases |
| `students` | a model whose parts are trained: `clipseg`, `compact` |
| `objective` | the recipe's sum of losses |
| `loop` | the loop |
| `checkpoints` | whole or not at all: what a run goes on from |
| `validation` | IoU on pictures that are not trained on |
| `run` | all of it together, in a run folder |
"""
