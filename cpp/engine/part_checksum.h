// The checksum of a part of a tensor, and of the tensor from its parts.
//
// A tensor that is written or read in several pieces is checksummed piece by piece, by
// whichever thread has the piece.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checksum/crc32c.h"

namespace tensorbundle::engine {

struct PartChecksum {
  uint32_t tensor = 0;  // its index in the save or the load
  uint64_t size = 0;    // bytes
  checksum::Crc32c crc;
};

// Adds parts to the checksums of their tensors, by index.
//
// REQUIRES: the parts of one tensor come in the order of their offsets
inline void AddParts(std::span<const PartChecksum> parts,
                     std::vector<checksum::Crc32c>& checksums) {
  for (const PartChecksum& part : parts) {
    checksum::Crc32c& crc = checksums[part.tensor];
    crc = checksum::Combine(crc, part.crc, part.size);
  }
}

}  // namespace tensorbundle::engine
