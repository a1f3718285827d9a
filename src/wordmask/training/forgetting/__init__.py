"""The forgetting probe: did a training cost the model something about phrases that were not trained?

| file | what it is |
|---|---|
| `vocabulary` | phrases that a training does not ask for |
| `probe` | the questions, and asking a model all of them |
| `comparison` | what the answers before and after say |
| `run` | asking before the first step and after the last one |
"""
