"""Mask proposals on the frozen trunk of the compact network: a small query decoder that the prompt guides."""
