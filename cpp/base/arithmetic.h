// Sums and products that cannot wrap around.
//
// Sizes and offsets from disk are unsigned 64-bit and hostile until checked.

#pragma once

#include <cstdint>
#include <optional>

namespace tensorbundle {

// Absent where the result does not fit.
constexpr std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  if (a > UINT64_MAX - b) return std::nullopt;
  return a + b;
}

constexpr std::optional<uint64_t> CheckedMultiply(uint64_t a, uint64_t b) {
  if (b != 0 && a > UINT64_MAX / b) return std::nullopt;
  return a * b;
}

// The first multiple of `alignment` at or after `value`.
//
// REQUIRES: alignment > 0
constexpr std::optional<uint64_t> CheckedAlignUp(uint64_t value, uint64_t alignment) {
  const uint64_t remainder = value % alignment;
  return remainder == 0 ? std::optional(value) : CheckedAdd(value, alignment - remainder);
}

constexpr uint64_t CeilDivide(uint64_t a, uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

}  // namespace tensorbundle
