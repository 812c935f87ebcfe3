"""Text from outside, made safe for a terminal or a log."""

from __future__ import annotations

__all__ = ["shown"]


def shown(text: str) -> str:
    """Replace what a terminal might obey, or not show, by backslash escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    # From U+0080 on as \u: \x is kept for bytes.
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
