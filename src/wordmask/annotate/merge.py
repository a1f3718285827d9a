"""Join the journals of shards into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.annotate.job import journal_path, locked_job, write_quarantine
from wordmask.annotate.journal import Journal
from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["merge_shards"]


def merge_shards(out: Path) -> int:
    """Add the journals of all shards in a folder to its journal, and return how many there were.

    The shards stay: merging again adds what they got since.

    Raises:
        OutputError: If there is none, one is damaged, or another process works on the folder.
    """
    shards = sorted(out.glob("journal.shard-*-of-*.sqlite"))
    if not shards:
        got = f"the folder {quote(out)}, in which no shard wrote"
        raise OutputError(sentence(got, "journal.shard-1-of-N.sqlite and others", "run --shard 1/N and so on first"))
    with locked_job(out, None), Journal(journal_path(out)) as journal:
        for shard in shards:
            journal.absorb(shard)
        write_quarantine(journal, out)
    return len(shards)
