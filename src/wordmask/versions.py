"""What numbers depend on besides the code: versions, for the records of evaluations and trainings."""

from __future__ import annotations

import platform
from importlib import metadata

__all__ = ["versions"]


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of wordmask, Python and the packages named; those not installed are left out."""
    from wordmask import __version__

    known = {"wordmask": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            known[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return known
