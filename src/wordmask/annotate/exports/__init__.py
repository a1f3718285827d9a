"""Formats of other tools: each writes the labels of a job into a folder and reads them back."""
