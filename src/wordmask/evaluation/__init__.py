"""Evaluating a segmenter on a data set under a protocol: scores with intervals, comparisons and the ledger."""
