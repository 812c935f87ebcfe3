"""The extension module, ready for use: the only door to it.

Importing it here hands it the exceptions to raise, and turns a failed import into an
explanation.
"""

from __future__ import annotations

from tensorbundle.errors import exception_from_status

try:
    from tensorbundle import _core
except ImportError as error:
    raise ImportError(
        "the tensorbundle extension module is missing or was built for another Python; "
        "install the package with `pip install .` in its repository"
    ) from error

_core.set_error_factory(exception_from_status)

__all__ = ["_core"]
