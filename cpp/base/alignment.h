// Multiples: of offsets and addresses that are known to be far from 2^64.  Values from
// disk go through CheckedAlignUp (base/arithmetic.h).

#pragma once

#include <cstddef>
#include <cstdint>

namespace tensorbundle {

constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value - value % alignment;
}

// REQUIRES: the result fits
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return AlignDown(value + alignment - 1, alignment);
}

inline bool IsAligned(const std::byte* address, uint64_t alignment) {
  return reinterpret_cast<uintptr_t>(address) % alignment == 0;
}

}  // namespace tensorbundle
