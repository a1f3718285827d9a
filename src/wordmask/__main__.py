"""`python -m wordmask`."""

from __future__ import annotations

from wordmask.cli import main

if __name__ == "__main__":
    main()
