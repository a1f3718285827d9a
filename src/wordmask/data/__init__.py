"""Data sets and their protocols: one file each, with licence, size, folder layout and origin in its docstring.

| set | open it with | what is asked | absent names |
|---|---|---|---|
| ADE20K | `ade20k.ade20k_150`, `ade20k.ade20k_847` | 150 or 847 names | yes |
| CelebAMask-HQ | `celebamask.CelebAMask` | 18 parts of a face, "eyes" on demand | yes |
| COCO-Stuff | `coco_stuff.coco_stuff` | 171 things and stuffs | yes |
| Pascal-Context | `pascal_context.pascal_context_59`, `pascal_context_459` | 59, 60 or 459 names | yes |
| PAS-20, PAS-21 | `pas.pas20`, `pas.pas21` | VOC's classes without and with background | yes |
| PASCAL VOC 2012 | `voc.PascalVoc` | VOC's classes, seen and unseen | see there |
| PASCAL-5i, COCO-20i | `pascal5i.Pascal5i`, `coco20i.Coco20i` | one class with an example picture | see there |
| PhraseCut | `phrasecut.PhraseCut`, `phrasecut_plus.PhraseCutPlus` | phrases; with negatives and examples | see there |
| RefCOCO, RefCOCO+, RefCOCOg | `refer.Refer` | expressions that single a thing out | no |
| shapes | `shapes.Shapes` | objects drawn on the fly | see there |
| any COCO JSON | `coco_json.CocoJson` | its categories | where said to be exhaustive |
| any label maps | `label_maps.LabelMaps` | the names given | where said to be exhaustive |
| Hugging Face `datasets` | `hugging_face.HuggingFace` | the names given | where said to be exhaustive |
| a table of image, mask, phrase | `csv_table.CsvTable` | phrases | from lines without a mask |
| a folder of one's own | `folder.open_files` | its names or phrases | where said to be exhaustive |

`registry.open_data` opens all of them, `registry.NAMED_SETS` has the published ones by name. `reading` is how all of
them read files: what is missing or malformed becomes one sentence that names the file. A new set fulfils
`wordmask.contracts.Dataset`, and its test inherits `tests/data/contract.py`.
"""
