"""What this installation is made of."""

from __future__ import annotations

from importlib import metadata
from typing import Any

__all__ = ["__version__", "build_info"]

try:
    __version__: str = metadata.version("tensorbundle")
except metadata.PackageNotFoundError:
    __version__ = "0"


def build_info() -> dict[str, Any]:
    """Tell how the core was built and what it uses on this machine.

    Returns
    -------
    dict
        ``version``; ``compiler``; ``crc32c``, the checksum code in use, one of
        ``crc32c_available``; ``backends``, what ``backend=`` accepts here; ``io_uring``,
        whether it was built in.
    """
    from tensorbundle.core import _core

    info: dict[str, Any] = dict(_core.build_info())
    info["backends"] = ["auto", "buffered"]
    info["io_uring"] = False
    return info
