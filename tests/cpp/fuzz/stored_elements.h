// Elements as a bundle stores them, in either byte order: what a fuzzer expects back.

#pragma once

#include <bit>
#include <span>
#include <string>

#include "checksum/crc32c.h"
#include "format/dtype.h"

namespace tensorbundle::fuzz {

struct StoredElements {
  std::string bytes;
  checksum::MaskedCrc32c crc32c;
};

// Each element as it lies in memory; of strings and variants, its bytes.
StoredElements Store(format::DType dtype, std::span<const std::string> elements,
                     std::endian order);

}  // namespace tensorbundle::fuzz
