"""Readers of published data sets, one a file: licence, size, folder layout and origin are in its docstring."""
