"""One exception for each rule of the format, so that a test can say which rule was broken."""

from __future__ import annotations


class FormatError(ValueError):
    """The base: the bytes on disk break a rule of the format."""


class NotATable(FormatError):
    """The file is shorter than a footer, or its last eight bytes are not the magic number."""


class BadHandle(FormatError):
    """A block handle cannot be decoded, or points outside the file."""


class BlockChecksumMismatch(FormatError):
    """A block's masked CRC-32C is not that of its bytes and type."""


class BadCompression(FormatError):
    """A block has an unknown compression type, or Snappy bytes that do not decode."""


class BadBlock(FormatError):
    """A block's entries or restart points do not decode."""


class BadKeyOrder(FormatError):
    """Keys do not increase strictly, or an index key does not separate its two blocks."""


class BadProto(FormatError):
    """The bytes are not a well-formed protobuf message."""


class BadHeader(FormatError):
    """The header entry is missing, or holds an impossible value."""


class UnsupportedVersion(FormatError):
    """The header's version excludes readers of version 1."""


class BadEntry(FormatError):
    """An entry's shape, shard, offset or size is impossible."""


class UnsupportedDType(FormatError):
    """The entry's dtype is unknown, or its values cannot be read in this byte order."""


class MissingShard(FormatError):
    """A data file that an entry names does not exist."""


class ShortShard(FormatError):
    """A data file ends before the bytes an entry points to."""


class BadSize(FormatError):
    """An entry's size does not agree with its shape and dtype, or with its own contents."""


class LengthChecksumMismatch(FormatError):
    """The checksum inside a string or variant tensor does not match what precedes it."""


class TensorChecksumMismatch(FormatError):
    """An entry's masked CRC-32C is not that of its bytes."""


class BadSlice(FormatError):
    """A slice lies outside its tensor, or its entry's dtype or shape differs."""


class MissingSlice(FormatError):
    """The stored slices do not cover their tensor, or one of them has no entry."""


class OverlappingSlices(FormatError):
    """Two slices of one tensor share an element."""
