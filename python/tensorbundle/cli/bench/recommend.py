"""The best settings that were measured, as a file for ``config=`` of save and load.

Only combinations that were run are recommended, and the defaults unless something is
faster by more than the runs differ: its slowest run beats their fastest. A run or two of
each tell nothing of the kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from tensorbundle.cli.bench.grid import MEMORY
from tensorbundle.cli.bench.results import FEWEST_RUNS, OWN, Place, Result, Row, Settings
from tensorbundle.cli.errors import CommandError
from tensorbundle.cli.output import count

__all__ = ["Choice", "best", "to_toml"]

_OF_SECTION = {"save": ("save",), "load": ("cold-load", "warm-load")}
_KEYS = ("backend", "num_threads", "num_shards", "block_size", "queue_depth")


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is best for saves, or for loads, and why."""

    settings: Settings
    why: str


def best(result: Result, place: Place) -> dict[str, Choice]:
    """Choose for saves and for loads of one place.

    Loads are judged cold, where that could be measured; else warm.
    """
    choices = {}
    for section, operations in _OF_SECTION.items():
        for operation in operations:
            rows = [row for row in result.of_place(place.path) if _counts(row, operation)]
            if rows:
                choices[section] = _choose(rows, place.auto)
                break
    return choices


def _counts(row: Row, operation: str) -> bool:
    return (
        row.engine == OWN
        and row.operation == operation
        and bool(row.seconds)
        and row.settings is not None
        and row.settings.backend != MEMORY
        and (operation != "save" or row.durable is True)
    )


def _choose(rows: list[Row], auto: str) -> Choice:
    largest = max(row.num_bytes for row in rows)
    rows = [row for row in rows if row.num_bytes == largest]
    fastest = min(rows, key=lambda row: row.median)
    default = next((row for row in rows if row.settings == Settings(auto)), None)
    if default is None:
        return _chosen(fastest, f"median {fastest.median:.3g} s")
    beats = fastest.beats(default)
    if beats is None:
        return _chosen(
            default, f"the defaults; fewer than {FEWEST_RUNS} runs of each tell nothing better"
        )
    if not beats:
        return _chosen(
            default, f"the defaults; nothing was surely faster than {default.median:.3g} s"
        )
    gain = default.median / fastest.median
    return _chosen(fastest, f"{gain:.2f} times as fast as the defaults, surely faster")


def _chosen(row: Row, why: str) -> Choice:
    if row.settings is None:
        raise ValueError("a row of our own has settings")
    told = f"{count(len(row.seconds), 'run')} of {row.num_bytes / 1e9:.3g} GB"
    if row.num_busy:
        told += f", with other programs busy in {row.num_busy}"
    return Choice(row.settings, f"{why} ({told})")


def to_toml(choices: dict[str, Choice], place: Place) -> str:
    """Write the choices as ``tensorbundle.config`` reads them.

    Raises
    ------
    CommandError
        Nothing was measured that could be recommended.
    """
    if not choices:
        raise CommandError(f"{place.path}: nothing was measured that could be recommended")
    lines = [
        f"# Measured by `tensorbundle bench` on {_comment(place.path)} ({place.file_system}).",
        '# Used by tb.save(..., config="this file") and tb.load(..., config="this file").',
    ]
    for section, choice in choices.items():
        lines += ["", f"[{section}]", f"# {choice.why}"]
        lines += list(_values(section, choice.settings))
    return "\n".join(lines) + "\n"


def _values(section: str, settings: Settings) -> Iterable[str]:
    for key in _KEYS:
        value = getattr(settings, key)
        if value is None or (key == "num_shards" and section == "load"):
            continue
        yield f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"


def _comment(text: str) -> str:
    """Keep a path from ending the comment that it stands in, or being no UTF-8."""
    return ascii(text)
