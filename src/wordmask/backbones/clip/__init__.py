"""CLIP (Radford et al., arXiv 2103.00020): both towers for inference, read from the files that transformers saves."""
