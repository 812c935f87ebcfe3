// Integers as bytes: little-endian fixed32 and base-128 varints.
//
// Encoders append to a std::string, which here is only a growable run of bytes.
// The decoder is a Cursor that cannot leave its span.
//
// Trust: a Cursor reads bytes from disk.  A read that fails says false and leaves
// the cursor where it was; a varint longer than its type allows fails.

#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tensorbundle::format {

void PutFixed32(std::string& out, uint32_t value);
void PutFixed64(std::string& out, uint64_t value);
void PutVarint32(std::string& out, uint32_t value);
void PutVarint64(std::string& out, uint64_t value);
size_t VarintSize(uint64_t value);  // bytes that PutVarint64 appends

// REQUIRES: bytes.size() >= 4, and 8
uint32_t LoadFixed32(Bytes bytes);
uint64_t LoadFixed64(Bytes bytes);

// `value` as it is, or with its bytes turned round: a word of a file in `order`.
uint32_t InOrder(std::endian order, uint32_t value);
uint64_t InOrder(std::endian order, uint64_t value);

class Cursor {
 public:
  explicit Cursor(Bytes bytes) : bytes_(bytes) {}

  [[nodiscard]] bool ReadFixed32(uint32_t& value);
  [[nodiscard]] bool ReadFixed64(uint64_t& value);
  // At most 5 bytes and 32 bits, or 10 bytes and 64 bits.
  [[nodiscard]] bool ReadVarint32(uint32_t& value);
  [[nodiscard]] bool ReadVarint64(uint64_t& value);
  [[nodiscard]] bool ReadBytes(uint64_t size, Bytes& value);

  bool done() const { return position_ == bytes_.size(); }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

 private:
  Bytes bytes_;
  size_t position_ = 0;
};

}  // namespace tensorbundle::format
