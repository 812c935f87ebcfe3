"""Settings of saves and loads, from a file that the caller names; none is read unasked.

The file is TOML, with a section for each; ``tensorbundle bench --recommend`` writes one::

    [save]
    backend = "uring"
    num_threads = 2

    [load]
    backend = "direct"
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["BACKENDS", "KEYS", "Config", "read_config", "settings"]

BACKENDS: Final = ("auto", "buffered", "direct", "uring")

Config = str | os.PathLike[str] | Mapping[str, Any]
"""A file's path, or what such a file holds: a mapping of sections."""

_LOAD_KEYS: Final = {"backend": str, "num_threads": int, "block_size": int, "queue_depth": int}
KEYS: Final[Mapping[str, Mapping[str, type]]] = {
    "save": {**_LOAD_KEYS, "num_shards": int, "snapshot": bool, "zero_copy": bool},
    "load": _LOAD_KEYS,
}
"""By section: its keys, and what their values are."""


def settings(section: str, config: Config | None, **given: Any) -> dict[str, Any]:
    """Give every key of a section: as given, else as configured, else ``None``.

    Parameters
    ----------
    section
        ``"save"`` or ``"load"``.
    config
        Where to read; ``None`` reads nothing.
    **given
        The caller's own arguments, which win; ``None`` means not given.

    Raises
    ------
    ValueError
        The configuration has a section, key or value that it cannot have; the message
        names it, and the file.
    OSError
        The file cannot be read.
    """
    configured = {} if config is None else read_config(config)[section]
    return {
        key: configured.get(key) if given.get(key) is None else given[key]
        for key in KEYS[section]
    }


def read_config(config: Config) -> dict[str, dict[str, Any]]:
    """Read and check all sections, whichever will be used; a missing one is empty."""
    if isinstance(config, Mapping):
        place, content = "config", config
    else:
        place, content = os.fspath(config), _read_file(config)
    for section in content:
        if section not in KEYS:
            raise ValueError(f"{place}: unknown section {section!r}; there are [save], [load]")
    return {section: _checked(place, section, content.get(section, {})) for section in KEYS}


def _read_file(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    with open(path, "rb") as file:
        try:
            return tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None


def _checked(place: str, section: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{place}: {section!r} must be a section, not {values!r}")
    for key, value in values.items():
        _check(f"{place}: {key!r} in [{section}]", KEYS[section], key, value)
    return dict(values)


def _check(place: str, keys: Mapping[str, type], key: str, value: Any) -> None:
    if key not in keys:
        raise ValueError(f"{place} is unknown; there are {', '.join(keys)}")
    # A bool is an int to Python.
    if not isinstance(value, keys[key]) or (keys[key] is int and isinstance(value, bool)):
        raise ValueError(f"{place} must be of type {keys[key].__name__}, not {value!r}")
    if key == "backend" and value not in BACKENDS:
        raise ValueError(f"{place} must be one of {', '.join(BACKENDS)}, not {value!r}")
    if isinstance(value, int) and keys[key] is int and value < 1:
        raise ValueError(f"{place} must be a positive number, not {value}")
