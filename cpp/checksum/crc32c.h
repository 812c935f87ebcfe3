// CRC-32C (Castagnoli), as RFC 3720 appendix B.4 defines it, and its masked form.
//
// The format stores every checksum masked (a CRC of bytes that contain CRCs is
// weak); the mask is (crc >> 15 | crc << 17) + 0xa282ead8.  The two are types of
// their own, so that masking twice, or forgetting to, does not compile.
//
// The fastest code that this processor runs is chosen at run time:
// checksum/paths.h lists what there is.
//
// Threads: all functions are pure; any thread may call any of them.

#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace tensorbundle::checksum {

// The checksum of some bytes; of no bytes when default-constructed.
class Crc32c {
 public:
  constexpr Crc32c() = default;
  constexpr explicit Crc32c(uint32_t value) : value_(value) {}
  constexpr uint32_t value() const { return value_; }
  friend constexpr bool operator==(Crc32c, Crc32c) = default;

 private:
  uint32_t value_ = 0;
};

// A checksum as it stands in a file.
class MaskedCrc32c {
 public:
  constexpr MaskedCrc32c() = default;
  constexpr explicit MaskedCrc32c(uint32_t value) : value_(value) {}
  constexpr uint32_t value() const { return value_; }
  friend constexpr bool operator==(MaskedCrc32c, MaskedCrc32c) = default;

 private:
  uint32_t value_ = 0;
};

constexpr MaskedCrc32c Mask(Crc32c crc) {
  const uint32_t c = crc.value();
  return MaskedCrc32c(((c >> 15) | (c << 17)) + 0xa282ead8U);
}

constexpr Crc32c Unmask(MaskedCrc32c masked) {
  const uint32_t rotated = masked.value() - 0xa282ead8U;
  return Crc32c((rotated >> 17) | (rotated << 15));
}

// The checksum of the bytes behind `crc` followed by `bytes`.
Crc32c Extend(Crc32c crc, Bytes bytes);

inline Crc32c Compute(Bytes bytes) { return Extend(Crc32c(), bytes); }

// Copies `source` to `destination` and returns Extend(crc, destination): the
// checksum is of the bytes that arrived, even where `source` changes meanwhile.
// One pass over memory; a copy of many megabytes goes past the caches.
//
// REQUIRES: destination.size() == source.size(); the two do not overlap
Crc32c ExtendCopy(Crc32c crc, MutableBytes destination, Bytes source);

// The checksum of two runs of bytes, one after the other, from the checksum of
// each and the size of the second.  Takes O(log second_size).
Crc32c Combine(Crc32c first, Crc32c second, uint64_t second_size);

// The name of the code that Extend() runs on this processor: a CpuPath name of
// checksum/paths.h, e.g. "sse4.2".
std::string_view ActivePath();

}  // namespace tensorbundle::checksum
