r"""Reads ``s/regex/replacement/`` as sed -E does, with Python's regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tensorbundle.cli.errors import CommandError

__all__ = ["parse_substitution", "substitute"]

Substitution = Callable[[str], str]

_FLAGS = {"g", "i", "I"}


def substitute(rules: Sequence[str]) -> Substitution:
    """Give the function that applies all rules in turn.

    Raises
    ------
    CommandError
        One of them is no substitution.
    """
    parsed = [parse_substitution(rule) for rule in rules]

    def apply(name: str) -> str:
        for rule in parsed:
            name = rule(name)
        return name

    return apply


def parse_substitution(rule: str) -> Substitution:
    r"""Parse ``s/regex/replacement/flags``; any character may stand for the slashes.

    In the replacement ``\1`` to ``\9`` are groups and ``&`` is the whole match, as in sed;
    a backslash before any other character gives that character. Flags: ``g`` replaces
    every match and not only the first, ``i`` ignores case.

    Raises
    ------
    CommandError
        It is none of that, or the regular expression is wrong.
    """
    if len(rule) < 2 or rule[0] != "s" or rule[1] in "\\\n" or rule[1].isalnum():
        raise CommandError(f"{rule!r} is no rule; a rule is 's/regex/replacement/'")
    parts = _split(rule[2:], rule[1])
    if len(parts) != 3:
        raise CommandError(f"{rule!r} has not three {rule[1]!r}; a rule is 's/regex/new/'")
    pattern, replacement, flags = parts
    unknown = set(flags) - _FLAGS
    if unknown:
        raise CommandError(f"{rule!r}: {min(unknown)!r} is no flag; g and i are")
    try:
        regex = re.compile(pattern, re.IGNORECASE if set(flags) & {"i", "I"} else 0)
    except re.error as error:
        raise CommandError(f"{rule!r}: bad regular expression: {error}") from None
    pieces = _pieces(replacement, regex.groups, rule)
    return lambda name: regex.sub(lambda match: _joined(pieces, match), name, "g" not in flags)


def _split(text: str, delimiter: str) -> list[str]:
    """Cut at each delimiter that no backslash precedes; before one, drop the backslash."""
    parts, escaped = [""], False
    for character in text:
        if escaped:
            parts[-1] += character if character == delimiter else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == delimiter:
            parts.append("")
        else:
            parts[-1] += character
    if escaped:
        parts[-1] += "\\"
    return parts


def _pieces(replacement: str, num_groups: int, rule: str) -> list[str | int]:
    """Cut a replacement into texts and numbers of groups."""
    pieces: list[str | int] = []
    characters = iter(replacement)
    for character in characters:
        if character == "&":
            pieces.append(0)
            continue
        if character != "\\":
            pieces.append(character)
            continue
        escaped = next(characters, "\\")
        if escaped not in "123456789":
            pieces.append(escaped)
            continue
        if int(escaped) > num_groups:
            raise CommandError(f"{rule!r} has no group {escaped}")
        pieces.append(int(escaped))
    return pieces


def _joined(pieces: list[str | int], match: re.Match[str]) -> str:
    return "".join(p if isinstance(p, str) else match[p] or "" for p in pieces)
