"""CLIP's tokenizer, read by transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.checkpoints import brief
from wordmask.errors import CheckpointError, quote, sentence
from wordmask.files import require_regular

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import CLIPTokenizer

__all__ = ["load_tokenizer"]

TOKENIZER_FILES = (
    "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja",
)  # fmt: skip
"""What transformers reads of a folder."""
LARGEST = 64 * 2**20
"""Bytes of the largest file of a tokenizer that is read."""


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Read a CLIP tokenizer (tokenizer.json, or vocab.json and merges.txt) from a local folder.

    Raises:
        CheckpointError: If the folder holds none, or a damaged one, or pipes or devices in place of its files.
    """
    from transformers import CLIPTokenizer

    for name in TOKENIZER_FILES:
        if (folder / name).exists():
            require_regular(folder / name, f"a {name}", error=CheckpointError, limit=LARGEST)
    present = [(folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "merges.txt")]
    if not (present[0] or all(present[1:])):
        expected = "tokenizer.json, or vocab.json and merges.txt, beside config.json"
        remedy = "copy the tokenizer files of the published checkpoint there"
        raise CheckpointError(sentence(f"no tokenizer in {quote(folder)}", expected, remedy))
    try:
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        remedy = "fetch or save the checkpoint again"
        got = f"an unreadable tokenizer in {quote(folder)} ({brief(error)})"
        raise CheckpointError(sentence(got, "the files of a CLIP tokenizer", remedy)) from error
    return tokenizer
