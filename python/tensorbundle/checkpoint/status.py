"""What a restore did, and assertions about it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

from tensorbundle.checkpoint.adapters import Adapter
from tensorbundle.checkpoint.restoring import Restoration
from tensorbundle.checkpoint.walk import LiveNode, walk
from tensorbundle.close_names import close_names
from tensorbundle.errors import UnmatchedError

__all__ = ["RestoreReport", "RestoreStatus"]

_LOG = logging.getLogger("tensorbundle")

_MOST_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class RestoreReport:
    """What belongs together in a checkpoint and the live objects, and what does not.

    Shapes or dtypes that differ are not listed: they are a `RestoreMismatchError`.
    """

    prefix: str | None
    matched: tuple[str, ...]
    """Tensors that were restored."""
    missing: tuple[str, ...]
    """What live objects would be saved as, and the checkpoint has no value for."""
    unexpected: tuple[str, ...]
    """Tensors of the checkpoint that no live object has taken, so far."""
    unused_attributes: tuple[str, ...]
    """Those of `unexpected` whose object is there, but has no use for them."""

    @property
    def ok(self) -> bool:
        """Whether all was matched on both sides."""
        return not self.missing and not self.unexpected


class RestoreStatus:
    """What `Checkpoint.restore` returns.

    The assertions first restore what has appeared since (see `Checkpoint.sync`). They
    return the status, so that they can be chained, and raise `UnmatchedError`, which is an
    ``AssertionError``.
    """

    def __init__(self, root: Callable[[], Adapter], restoration: Restoration | None) -> None:
        self._root = root
        self._restoration = restoration

    def report(self) -> RestoreReport:
        """Tell what is matched, missing and unexpected; nothing is restored by that."""
        live = walk(self._root())
        restoration = self._restoration
        missing = [node for node in live if node.adapter.has_value]
        if restoration is None:
            return RestoreReport(None, (), tuple(map(_key_of, missing)), (), ())
        missing = [n for n in missing if n.adapter.identity not in restoration.restored]
        keys = restoration.stored.keys
        unexpected = [key for key in keys if key not in restoration.matched]
        unused = [key for key in unexpected if keys[key] in restoration.unused]
        return RestoreReport(
            prefix=restoration.stored.prefix,
            matched=tuple(restoration.matched),
            missing=tuple(map(_key_of, missing)),
            unexpected=tuple(key for key in unexpected if not self._is_combined(key)),
            unused_attributes=tuple(unused),
        )

    def assert_consumed(self) -> RestoreStatus:
        """Assert that every value of the checkpoint was restored, and every object got one."""
        report = self._checked_report()
        if not report.ok:
            raise _unmatched(report, report.missing, report.unexpected)
        return self

    def assert_existing_objects_matched(self) -> RestoreStatus:
        """Assert that every live object that has a value got one from the checkpoint."""
        report = self._checked_report()
        if report.missing:
            raise _unmatched(report, report.missing, ())
        return self

    def assert_nontrivial_match(self) -> RestoreStatus:
        """Assert that something besides the root was found in the checkpoint."""
        report = self._checked_report()
        restoration = self._restoration
        assert restoration is not None
        if len(restoration.bound) <= 1 and not report.matched:
            told = "nothing but the root object is in the checkpoint"
            if not report.missing:
                told = "there is nothing to restore into"
            raise UnmatchedError(f"{restoration.stored.prefix}: {told}", code="Unmatched")
        return self

    def expect_partial(self) -> RestoreStatus:
        """Do nothing: a partial restore raises no warnings. TensorFlow's silences them."""
        return self

    def warn_of_rest(self) -> None:
        """Log as a warning what `assert_consumed` would raise; nothing is restored."""
        report = self.report()
        if report.prefix is not None and not report.ok:
            told = _told(report, report.missing, report.unexpected)
            _LOG.warning("%s: not all was restored: %s", report.prefix, told)

    def _checked_report(self) -> RestoreReport:
        if self._restoration is None:
            raise UnmatchedError(
                "no checkpoint was given: nothing was restored", code="Unmatched"
            )
        self._restoration.restore(self._root())
        return self.report()

    def _is_combined(self, key: str) -> bool:
        """Tell whether the live object had its value from another saved object."""
        restoration = self._restoration
        assert restoration is not None
        node_id = restoration.stored.keys[key]
        return node_id in restoration.bound and node_id not in restoration.unused


def _key_of(node: LiveNode) -> str:
    attributes = node.adapter.tensors(node.path).attributes
    return attributes[0].checkpoint_key


def _unmatched(
    report: RestoreReport, missing: tuple[str, ...], unexpected: tuple[str, ...]
) -> UnmatchedError:
    told = _told(report, missing, unexpected)
    return UnmatchedError(f"{report.prefix}: {told}", code="Unmatched")


def _told(report: RestoreReport, missing: tuple[str, ...], unexpected: tuple[str, ...]) -> str:
    lines = []
    if missing:
        lines.append(f"not in the checkpoint ({len(missing)}):")
        for key in missing[:_MOST_SHOWN]:
            close = close_names(key, report.unexpected)
            hint = f"; did you mean {', '.join(map(repr, close))}?" if close else ""
            lines.append(f"  {key}{hint}")
    if unexpected:
        lines.append(f"in the checkpoint, but not restored ({len(unexpected)}):")
        lines += [f"  {key}" for key in unexpected[:_MOST_SHOWN]]
    return "\n".join(lines)
