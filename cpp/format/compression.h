// Compressed blocks of an index.
//
// TensorFlow and we write plain blocks; LevelDB's table format also knows Snappy, and
// TensorFlow reads it, so we do.  The decoder is ours: an index block is small, and a
// static libsnappy cannot be linked into a Python module on Debian (it is not
// position-independent), so the library would become a run-time dependency.
//
//   block    varint32 decoded size, element*
//   element  tag byte; its low two bits say what it is:
//            0  literal: the size - 1 in the upper six bits, or for 60..63 in 1..4 bytes
//               that follow; then the bytes
//            1  copy: size - 4 in bits 2..4, offset in bits 5..7 (high) and one byte
//            2  copy: size - 1 in the upper six bits, offset in two bytes
//            3  copy: the same, offset in four bytes
//
// A copy repeats bytes already decoded, from `offset` back, and may overlap itself.
// Source: Snappy's format_description.txt.
//
// Trust: takes bytes from disk.  SnappyDecodedSize() tells what a block claims before
// anything is allocated for it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace tensorbundle::format {

// The type byte of a block's trailer.
enum class Compression : uint8_t { kNone = 0, kSnappy = 1 };

// Bytes that one of a Snappy block can become: the densest element is three bytes for a
// copy of 64.
constexpr uint64_t kMaxSnappyExpansion = 22;

// The size that a Snappy block says it has once decoded, not yet to be believed.
//
// Errors: kBadCompression  it says nothing
Result<uint64_t> SnappyDecodedSize(Bytes compressed);

// The decoded block.  Allocates SnappyDecodedSize() bytes, where that can be.
//
// Errors: kBadCompression
Result<std::vector<std::byte>> DecodeSnappy(Bytes compressed);

}  // namespace tensorbundle::format
