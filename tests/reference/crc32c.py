"""CRC-32C, one byte at a time, and the mask that TensorFlow stores it under."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed (RFC 3720, B.4)
_MASK_DELTA = 0xA282EAD8  # LevelDB, util/crc32c.h


def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_TABLE = _make_table()


def crc32c(data: bytes, crc: int = 0) -> int:
    """Return the CRC-32C of `data`; given the `crc` of some bytes, that of both together."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def mask(crc: int) -> int:
    """Return `crc` as stored: rotated right by 15 bits, plus a constant, modulo 2**32."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """Return the CRC whose `mask` is `masked`."""
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
