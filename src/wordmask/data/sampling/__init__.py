"""Sampling for training: phrases, negatives, crops, examples, mirroring."""
