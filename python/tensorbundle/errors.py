"""What can go wrong, by name.

``BundleError`` is the base of everything that is particular to bundles. What the
operating system refuses is an ``OSError`` with its errno, which has the same attributes
(`BundleError` tells them) where it comes from a bundle's file, and the code ``"System"``; a
wrong argument is a ``ValueError`` or ``TypeError``; a name that is not there is also a
``KeyError``.
"""

from __future__ import annotations

import errno
import os
from typing import Any

__all__ = [
    "BundleError",
    "CheckpointGoneError",
    "CorruptionError",
    "DuplicateTensorError",
    "GraphChangedError",
    "LockedError",
    "MissingShardError",
    "MissingTensorError",
    "RestoreMismatchError",
    "StateFileError",
    "UnmatchedError",
    "UnsupportedError",
]


class BundleError(Exception):
    """A bundle cannot be read or written.

    Attributes
    ----------
    code
        The fault's name, for example ``"DataChecksumMismatch"``: stable, to be compared.
    detail
        What was expected and what was found, without the place.
    path
        The file concerned, or ``None``.
    key
        The tensor concerned, or ``None``.
    shard
        The number of the data file, or ``None``.
    offset
        Bytes from the start of `path`, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        detail: str = "",
        path: str | None = None,
        key: str | None = None,
        shard: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.detail = detail or message
        self.path = path
        self.key = key
        self.shard = shard
        self.offset = offset

    def __str__(self) -> str:
        # KeyError would quote the message, OSError would look for an errno.
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


class CorruptionError(BundleError):
    """The bytes on disk are not a bundle, or are damaged."""


class MissingShardError(CorruptionError, FileNotFoundError):
    """The index names a data file that does not exist."""


class StateFileError(CorruptionError, ValueError):
    """A ``checkpoint`` file is not what it should be."""


class CheckpointGoneError(BundleError, FileNotFoundError):
    """The checkpoint was replaced or deleted after it was opened."""


class UnsupportedError(BundleError):
    """The bundle is sound but asks for what this library or build lacks."""


class LockedError(BundleError):
    """Another save of the same prefix is under way, here or in another process."""


class MissingTensorError(BundleError, KeyError):
    """No tensor of that name is in the bundle."""


class DuplicateTensorError(BundleError, ValueError):
    """A name is given to two tensors."""


class GraphChangedError(BundleError, RuntimeError):
    """Objects got or lost children while they were being saved."""


class RestoreMismatchError(BundleError, ValueError):
    """Stored tensors have other shapes or dtypes than the objects they belong to."""


class UnmatchedError(BundleError, AssertionError):
    """A restore did not match all that it was asserted to match."""


def _rebuild(
    kind: type[BundleError], message: str, attributes: dict[str, object]
) -> BundleError:
    error = kind(message)
    error.__dict__.update(attributes)
    return error


_BY_CODE: dict[str, type[BundleError]] = {
    "AlreadyExists": DuplicateTensorError,
    "CheckpointGone": CheckpointGoneError,
    "Locked": LockedError,
    "MissingShard": MissingShardError,
    "NotFound": MissingTensorError,
}


def exception_from_status(
    code: str,
    detail: str,
    message: str,
    error_number: int,
    path: str | None,
    key: str | None,
    shard: int | None,
    offset: int | None,
    is_corruption: bool,
    is_unsupported: bool,
) -> Exception:
    """Make the exception for a failure in the core, which calls this."""
    if code == "System":
        place = {"path": path, "key": key, "shard": shard, "offset": offset}
        return _os_error(detail, error_number, place)
    if code == "InvalidArgument":
        return ValueError(message)
    kind = _BY_CODE.get(code, BundleError)
    if kind is BundleError:
        if is_corruption:
            kind = CorruptionError
        elif is_unsupported:
            kind = UnsupportedError
    return kind(
        message, code=code, detail=detail, path=path, key=key, shard=shard, offset=offset
    )


def _os_error(detail: str, error_number: int, place: dict[str, Any]) -> OSError:
    # OSError(errno, ...) makes itself a FileNotFoundError, PermissionError and so on, so
    # that no class of ours can have the attributes.
    key, path = place["key"], place["path"]
    text = detail if key is None else f"{detail} (tensor {key!r})"
    error = OSError(error_number or errno.EIO, text, path or os.curdir)
    error.__dict__.update(code="System", detail=detail, **place)
    return error
