// An input taken apart: numbers and runs of bytes from its front, zeros past its end.

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "format/coding.h"

namespace tensorbundle::fuzz {

class Input {
 public:
  explicit Input(Bytes bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }

  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto value = std::to_integer<uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  uint16_t Short() {
    const uint32_t low = Byte();
    return static_cast<uint16_t>(low | uint32_t{Byte()} << 8);
  }
  // Small numbers are likely, large ones possible.
  uint64_t Number() {
    format::Cursor cursor(rest_);
    uint64_t value = 0;
    if (!cursor.ReadVarint64(value)) return Byte();
    rest_ = rest_.subspan(cursor.position());
    return value;
  }
  Bytes Take(size_t size) {
    const Bytes taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  Bytes Rest() { return Take(rest_.size()); }

 private:
  Bytes rest_;
};

}  // namespace tensorbundle::fuzz
