"""Text as checkpoints have it: bytes that are UTF-8, as a rule. Needs no NumPy.

Bytes that are none become lone surrogates, and these the same bytes again.
"""

from __future__ import annotations

__all__ = ["as_bytes", "as_text"]


def as_bytes(text: str | bytes) -> bytes:
    """Give the bytes that are stored.

    Raises
    ------
    UnicodeEncodeError
        It has a surrogate that stands for no byte.
    """
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def as_text(stored: str | bytes) -> str:
    """Give the text of what is stored."""
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogateescape")
