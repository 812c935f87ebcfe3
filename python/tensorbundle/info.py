"""What this installation is made of."""

from __future__ import annotations

from typing import Any

from tensorbundle.config import BACKENDS
from tensorbundle.core import _core

__all__ = ["__version__", "build_info"]

__version__: str = _core.build_info()["version"]


def build_info() -> dict[str, Any]:
    """Tell how the core was built and what it uses on this machine.

    Returns
    -------
    dict
        ``version``; ``compiler``; ``crc32c``, the checksum code in use, one of
        ``crc32c_available``; ``backends``, what ``backend=`` accepts; ``io_uring``, whether
        it was built in and this process may use it, and if not ``io_uring_reason``.
    """
    info: dict[str, Any] = dict(_core.build_info())
    info["backends"] = list(BACKENDS)
    return info
