"""The files of a checkpoint in TensorFlow's V1 format, by its name. Needs no NumPy.

Such a checkpoint is one file, of the very name that TensorFlow calls it by. Saved in shards
it is several, and its name has question marks in place of their numbers:
``model-?????-of-00002``. That is the only pattern there is: any other ``*``, ``?`` or
bracket in a name is itself.
"""

from __future__ import annotations

import os
import re

__all__ = ["v1_files"]

_PATTERN = re.compile(r"(.*-)\?{5}(-of-(\d{5}))", re.ASCII | re.DOTALL)


def v1_files(name: str) -> list[str]:
    """Give the paths of a V1 checkpoint's files; none where there is no such checkpoint.

    Of a checkpoint in shards all paths are given, if the first is there.
    """
    if os.path.isfile(name):
        return [name]
    match = _PATTERN.fullmatch(name)
    if match is None:
        return []
    before, after, count = match.groups()
    paths = [f"{before}{shard:05d}{after}" for shard in range(int(count))]
    return paths if paths and os.path.isfile(paths[0]) else []
