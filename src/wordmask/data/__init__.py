"""Datasets and their protocols."""
