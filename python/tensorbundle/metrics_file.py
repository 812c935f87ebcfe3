"""The metrics of one checkpoint, in a JSON file beside it: ``PREFIX.metrics.json``.

``{"step": 3, "metrics": {"loss": 0.25, "accuracy": "nan"}}``: what JSON has no number
for is text.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from tensorbundle.directories import remove_file
from tensorbundle.errors import CorruptionError
from tensorbundle.regular_file import read_file
from tensorbundle.shown_text import shown
from tensorbundle.small_file import replace_file

__all__ = ["as_numbers", "metrics_path", "read_metrics", "remove_metrics", "write_metrics"]

_LOG = logging.getLogger("tensorbundle")

_MOST_BYTES = 1 << 20
# OverflowError: an integer that no float can be.
_UNREADABLE = (
    CorruptionError, OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError,
    RecursionError,
)  # fmt: skip


def as_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Take numbers, and arrays or tensors of no dimensions.

    Raises
    ------
    TypeError, ValueError
        A name is no text, or a value no number.
    """
    if not isinstance(metrics, Mapping):
        raise TypeError(f"metrics must be a mapping from name to number, not {metrics!r}")
    for name in metrics:
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be str, not {name!r}")
    return {name: _as_float(name, value) for name, value in metrics.items()}


def _as_float(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"metrics[{name!r}] must be a number, not {value!r}") from None


def metrics_path(prefix: str) -> str:
    """Name the file of a checkpoint's metrics."""
    return prefix + ".metrics.json"


def write_metrics(
    prefix: str, step: int | None, metrics: Mapping[str, float], *, durable: bool = True
) -> None:
    """Write the metrics of a checkpoint; the file is replaced as a whole."""
    values = {k: v if math.isfinite(v) else repr(v) for k, v in metrics.items()}
    text = json.dumps({"step": step, "metrics": values}, allow_nan=False) + "\n"
    replace_file(metrics_path(prefix), text.encode("utf-8"), durable=durable)


def read_metrics(prefix: str) -> dict[str, float]:
    """Read the metrics of a checkpoint; none where there is no such file.

    One that cannot be read counts as none, and is told in the log.
    """
    try:
        content = json.loads(read_file(metrics_path(prefix), most_bytes=_MOST_BYTES))
        return as_numbers(content["metrics"])
    except FileNotFoundError:
        return {}
    except _UNREADABLE as error:
        _LOG.warning("%s: ignored: %s", shown(metrics_path(prefix)), shown(str(error)))
        return {}


def remove_metrics(prefix: str) -> None:
    """Remove the metrics of a checkpoint, if there are any."""
    remove_file(metrics_path(prefix))
