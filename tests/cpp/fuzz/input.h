// An input taken apart: numbers and runs of bytes from its front, zeros past its end; and
// what several targets make of them.

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "format/coding.h"
#include "format/entry.h"
#include "format/table_file.h"

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
  // Of up to 255 bytes.
  std::string Text() { return std::string(AsText(Take(Byte()))); }

 private:
  Bytes rest_;
};

// An extent per dimension, some of which are full.
inline format::Slice TakeSlice(Input& input, size_t rank) {
  format::Slice slice;
  for (size_t d = 0; d < rank; ++d) {
    format::Extent extent;
    const uint8_t start = input.Byte();
    if (start != 0xff) {
      extent.start = start;
      extent.length = input.Byte();
    }
    slice.push_back(extent);
  }
  return slice;
}

// Keys and values, one behind the other.
inline void TakeEntries(Input& input, size_t most, format::KeysAndValues& entries) {
  while (!input.empty() && entries.size() < most) {
    std::string key = input.Text();
    entries.emplace_back(std::move(key), std::string(AsText(input.Take(input.Short()))));
  }
}

// Of keys and values in any order; of those with one key the first.
inline std::string SortedTable(format::KeysAndValues entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  return format::BuildTable(entries);
}

}  // namespace tensorbundle::fuzz
