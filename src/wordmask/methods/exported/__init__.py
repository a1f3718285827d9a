"""Exported networks: a folder of graphs behind the same door as every model."""

from wordmask.methods.exported.loading import load_exported

__all__ = ["load_exported"]
