// The bytes of a string tensor.
//
//   varint64 size[n], fixed32 masked CRC-32C of the sizes, then the strings
//
// The checksum of the sizes is over each size as a little-endian word (4 bytes up to
// 2^32 - 1, 8 bytes above), not over the varints; the entry's checksum continues it
// over the 4 stored bytes and the strings.  TensorFlow did it so to stay compatible
// with files from before 64-bit sizes.  In a big-endian bundle the words, and the stored
// checksum, are big-endian; the varints are what they are.

#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "checksum/crc32c.h"

namespace tensorbundle::format {

struct StringLayout {
  std::string head;      // the sizes and their checksum; the strings follow
  uint64_t size = 0;     // bytes, head and strings
  checksum::Crc32c crc;  // of the entry, not masked
};

// `elements` in C order.
//
// Errors: kLimitExceeded  the strings are larger than 2^63 bytes together
Result<StringLayout> LayOutStrings(std::span<const Bytes> elements);

// The elements of a tensor that was stored in `order`, as views into `stored`.
//
// Errors: kBadStringLengths      the sizes do not add up to the stored bytes
//         kSizeMismatch          fewer bytes than elements
//         kDataChecksumMismatch  of the sizes, always; of everything, if `verify`
Result<std::vector<Bytes>> DecodeStrings(Bytes stored, uint64_t num_elements,
                                         checksum::MaskedCrc32c expected, bool verify,
                                         std::endian order = std::endian::little);

}  // namespace tensorbundle::format
