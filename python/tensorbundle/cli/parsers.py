"""The parsers of the command line: mistakes in one line, options wherever they stand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from tensorbundle.cli.errors import CommandError

__all__ = ["CommandParser", "Parser"]


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, as all other errors are told."""

    def error(self, message: str) -> NoReturn:
        """Raise the mistake."""
        raise CommandError(f"{message} (see {self.prog} --help)")


class CommandParser(Parser):
    """Takes a command's options before, between and after its other arguments.

    argparse alone gives all that can be omitted, as the patterns of ``ls``, its value at the
    first option, and refuses what comes later.
    """

    _intermixing = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse what follows the command's name; nothing of it may be unknown."""
        if self._intermixing:
            return super().parse_known_args(args, namespace)
        self._intermixing = True  # what follows calls this method
        try:
            if args is not None and "--" in args:
                # Where nothing but options stands before them, argparse loses the dashes.
                parsed, unknown = super().parse_known_args(args, namespace)
                if not unknown:
                    return parsed, unknown
            parsed, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False
        if unknown:  # which the parser of all commands would say, and name its own help
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown
