"""Training: one loop for every method and recipe, on one process or many.

`Sample -> augmentation -> Batch -> model.loss(batch, step) -> optimiser -> averaged weights -> checkpoint`

| file | what it is |
|---|---|
| `recipe`, `recipes/` | a complete configuration, and functions that return one |
| `schedule` | steps, learning rates, sizes of images |
| `data` | what the loop needs of a training set: `TrainingSet` |
| `opening`, `inspection` | opens the user's data, reads every sample once and lists problems by file and line |
| `augmentation` | fine-tuning: window, mirroring, colours, phrases |
| `phrase_draws` | PhraseCut: one phrase an image, with negatives and examples |
| `order` | which samples a step takes: a function of seed and step alone |
| `optim`, `averaging` | AdamW and Muon; averages of weights |
| `loop` | the loop |
| `checkpoints` | saved whole or not at all: what an interrupted run continues from |
| `validation` | IoU on images that are not trained on |
| `forgetting/` | the forgetting probe: answers before and after about phrases that are not trained |
| `folder`, `lock`, `report` | the run's folder: its record, one run at a time, the report |
| `run` | all of it together |
"""
