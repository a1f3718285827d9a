"""The command line: a file per command, and nothing but parsing and printing."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line. Exit codes: 0 success, 1 some images failed, 2 bad usage or bad input, 130 interrupted."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # must be there before torch loads
    from wordmask.cli.app import app
    from wordmask.cli.failures import report_closed_output

    try:
        app()
    except OSError as error:
        if error.filename is not None:  # of a file: no matter of standard output
            raise
        sys.exit(report_closed_output(error))
