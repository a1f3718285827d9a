"""A segmenter over a data set under a published protocol: scores with intervals, comparisons and the ledger."""
