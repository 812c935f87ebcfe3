"""Which tensor of a checkpoint goes to which variable: the rules of a warm start."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["Assignment", "Rules", "assign", "pairs_of"]

# From the name in a checkpoint to the name of a variable; None leaves a tensor out.
Rename = Callable[[str], str | None]
Rules = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | Rename | None

_ROOT = ("", "/")


@dataclasses.dataclass
class Assignment:
    """What the rules say: each name, of checkpoint and variables, is in one place."""

    sources: dict[str, str] = dataclasses.field(default_factory=dict)
    """From the name of a variable to that of its tensor."""
    missing: list[str] = dataclasses.field(default_factory=list)
    """Variables that a rule speaks of, without a tensor."""
    unexpected: list[str] = dataclasses.field(default_factory=list)
    """Tensors that a rule speaks of, without a variable."""
    untouched: list[str] = dataclasses.field(default_factory=list)
    """Variables that no rule speaks of."""
    unused: list[str] = dataclasses.field(default_factory=list)
    """Tensors that no rule speaks of."""
    idle: list[str] = dataclasses.field(default_factory=list)
    """Rules that no tensor fits."""


@dataclasses.dataclass
class _Rule:
    """One rule; it gives a tensor's new name, or ``None`` if it says nothing of it."""

    rename: Rename
    shown: str
    claims: Callable[[str], bool]
    """Whether a variable of that name is to get a tensor by this rule."""
    exact: bool = False
    used: bool = False


def assign(rules: Rules, stored: Iterable[str], variables: Iterable[str]) -> Assignment:
    """Apply rules to the names of a checkpoint and of variables.

    Of exact names all rules apply; of the others, to each tensor the first that fits.

    Raises
    ------
    ValueError
        A rule is malformed, or two tensors would go to one variable.
    TypeError
        A rule is of no known kind.
    """
    parsed = _parsed(rules)
    found, targets = Assignment(), list(variables)
    known = set(targets)
    for name in stored:
        new_names = _new_names(parsed, name)
        hits = [new for new in new_names if new in known]
        for new in hits:
            if new in found.sources:
                both = f"{found.sources[new]!r} and {name!r}"
                raise ValueError(f"by the rules both {both} go to {new!r}")
            found.sources[new] = name
        if not new_names:
            found.unused.append(name)
        elif not hits:
            found.unexpected.append(name)
    for name in targets:
        if name not in found.sources:
            is_claimed = any(rule.claims(name) for rule in parsed)
            (found.missing if is_claimed else found.untouched).append(name)
    found.idle = [rule.shown for rule in parsed if not rule.used]
    return found


def pairs_of(rules: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> Iterable[Any]:
    """Give the rules, where they are several, from what to what."""
    return rules.items() if isinstance(rules, Mapping) else rules


def _new_names(rules: list[_Rule], name: str) -> list[str]:
    new_names: list[str] = []
    for rule in rules:
        if new_names and not rule.exact:
            break
        new = rule.rename(name)
        if new is not None:
            rule.used = True
            new_names.append(new)
    return new_names


def _parsed(rules: Rules) -> list[_Rule]:
    if rules is None:
        return [_Rule(lambda name: name, "all names", lambda _: True, used=True)]
    if callable(rules):
        return [_Rule(rules, "the function", lambda _: True, used=True)]
    parsed = [_rule(source, target) for source, target in pairs_of(rules)]
    return sorted(parsed, key=lambda rule: not rule.exact)


def _rule(source: Any, target: Any) -> _Rule:
    if isinstance(source, re.Pattern):
        return _pattern(source, target)
    if not isinstance(source, str) or not isinstance(target, str):
        raise TypeError(
            f"a rule is from a name or a pattern to a name: {source!r}: {target!r}"
        )
    if _is_scope(source) or _is_scope(target):
        return _scope(source, target)
    return _Rule(
        lambda name: target if name == source else None,
        shown=f"{source!r}: {target!r}",
        claims=lambda name: name == target,
        exact=True,
    )


def _is_scope(name: str) -> bool:
    return name in _ROOT or name.endswith(("/", "."))


def _scope(source: str, target: str) -> _Rule:
    if not _is_scope(source) or not _is_scope(target):
        raise ValueError(
            f"a scope goes to a scope, and both end in '/' or '.': {source!r}: {target!r}"
        )
    old, new = ("" if scope in _ROOT else scope for scope in (source, target))
    return _Rule(
        lambda name: new + name[len(old) :] if name.startswith(old) else None,
        shown=f"{source!r}: {target!r}",
        claims=lambda name: name.startswith(new),
    )


def _pattern(source: re.Pattern[str], target: Any) -> _Rule:
    def rename(name: str) -> str | None:
        match = source.fullmatch(name)
        if match is None:
            return None
        new: str | None = target(match) if callable(target) else match.expand(target)
        return new

    if not callable(target) and not isinstance(target, str):
        raise TypeError(f"a pattern goes to a template or a function, not to {target!r}")
    # Which variables a pattern is meant for can only be told from what it makes.
    return _Rule(rename, f"{source.pattern!r}: {target!r}", lambda _: False)
