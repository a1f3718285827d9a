"""Samples, readers of data sets, the registry that opens any of them, and sampling for training.

| module | content |
|---|---|
| `sample` | `Sample`, `Query`: an image, what is asked about it and the ground truth |
| `registry` | `open_data`, the one way to open data; `named_sets` is its table of published sets |
| `folder` | a user's own files, with or without splits.json |
| `coco_json`, `label_maps`, `csv_table`, `hugging_face` | the readers of these shapes |
| `sets` | published sets, one a file |
| `sampling` | phrases, negatives, crops, examples, mirroring |
| `reading`, `problems`, `unpickle`, `folds` | reading files, listing what is wrong, several folds as one set |

A new set fulfils `wordmask.contracts.Dataset`, gets an entry in `named_sets`, and its test inherits
`tests/data/contract.py`. docs/data.md shows the layouts.
"""
