"""How training samples are drawn from a data set: phrases, negatives, crops, examples, mirroring."""
