"""Small files that appear whole: written under a hidden name, synced, and renamed."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from tensorbundle.core import _core
from tensorbundle.directories import names_in

__all__ = ["replace_file", "sweep_unfinished"]

# cpp/format/naming.cc
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.tmp\.[0-9a-f]{16}", re.DOTALL)


def replace_file(path: str, content: bytes, *, durable: bool = True) -> None:
    """Give a file new content: a reader, or a crash, finds the old or the new.

    Ctrl-C takes effect before or after it (``cpp/io/small_file.h``).

    Parameters
    ----------
    path
        The file; it need not exist, its directory must.
    durable
        Sync the file before it is renamed, and its directory after: on return the new
        content survives a power cut.

    Raises
    ------
    OSError
        What was at `path` is as it was, and nothing is left behind; only where the very
        last sync of the directory fails is the new content in place already. The message
        tells which call has failed, and ``filename`` on what.
    """
    _core.replace_file(os.fsencode(path), content, durable=durable)


def sweep_unfinished(directory: str, names: Collection[str]) -> None:
    """Remove what processes that were killed in `replace_file` have left.

    Only files that it makes for one of `names`, and only those that nobody is writing.

    Raises
    ------
    OSError
        One cannot be removed.
    """
    for found in names_in(directory):
        made_for = _TEMPORARY.fullmatch(found)
        if made_for and made_for["name"] in names:
            _core.remove_unfinished(os.fsencode(os.path.join(directory, found)))
