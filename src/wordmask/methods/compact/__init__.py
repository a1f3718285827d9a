"""Small text-prompted network whose weights ship inside the package."""

from wordmask.methods.compact.weights import load_compact, save_compact

__all__ = ["load_compact", "save_compact"]
