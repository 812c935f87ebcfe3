"""What the command line's options take, as argparse wants it."""

from __future__ import annotations

import argparse

__all__ = ["positive", "tolerance"]


def positive(text: str) -> int:
    """Take a number of runs, threads, ..."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 2**31):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text!r}")
    return int(text)


def tolerance(text: str) -> float:
    """Take how far two numbers may be apart."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of 0 or more, not {text!r}")
    return number
