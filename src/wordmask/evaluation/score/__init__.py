"""Tasks of an evaluation: each file records the numbers of one sample and computes scores from all records."""
