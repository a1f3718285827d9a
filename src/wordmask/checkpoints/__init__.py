"""Model checkpoints: reading the files of a folder, building networks to be filled, strict loading of weights."""

from wordmask.checkpoints.files import brief, checksum, named, read_file, read_json

__all__ = ["brief", "checksum", "named", "read_file", "read_json"]
