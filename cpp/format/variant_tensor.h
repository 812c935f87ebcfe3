// The bytes of a variant tensor.
//
//   per element: varint64 size, VariantTensorDataProto, fixed32 masked CRC-32C
//
// One checksum runs through the tensor: over each size as a word of 8 bytes (not over the
// varint), the element, and the stored word, which is the checksum so far.  The entry's is
// what it is in the end.  What an element means is for TensorFlow, which registers a decoder
// per type; here it is bytes.  In a big-endian bundle the words are big-endian.

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

struct VariantBytes {
  std::string stored;
  checksum::Crc32c crc;  // of the entry, not masked
};

// Serialized elements, in C order, as a tensor stores them.  They are copied, since each has
// its checksum behind it.
VariantBytes EncodeVariants(std::span<const Bytes> elements);

// The serialized elements of a tensor that was stored in `order`, as views into `stored`.
//
// Errors: kBadStringLengths      the sizes do not add up to the stored bytes
//         kSizeMismatch          fewer bytes than elements
//         kDataChecksumMismatch  of an element or of everything, if `verify`
Result<std::vector<Bytes>> DecodeVariants(Bytes stored, uint64_t num_elements,
                                          checksum::MaskedCrc32c expected, bool verify,
                                          std::endian order = std::endian::little);

}  // namespace tensorbundle::format
