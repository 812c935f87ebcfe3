#include "format/wire.h"

#include <array>

namespace tensorbundle::format {
namespace {

constexpr uint32_t kTypeBits = 3;
constexpr uint32_t kTypeMask = 7;

}  // namespace

void PutTag(std::string& out, uint32_t field, WireType type) {
  PutVarint32(out, field << kTypeBits | static_cast<uint32_t>(type));
}

void PutVarintField(std::string& out, uint32_t field, uint64_t value) {
  PutTag(out, field, WireType::kVarint);
  PutVarint64(out, value);
}

void PutBytesField(std::string& out, uint32_t field, std::string_view value) {
  PutTag(out, field, WireType::kLengthDelimited);
  PutVarint64(out, value.size());
  out += value;
}

bool FieldReader::Next() {
  if (!ok_ || cursor_.done()) return false;
  ok_ = ReadTag() && (type_ == WireType::kStartGroup ? SkipGroup(number_) : ReadPayload());
  return ok_;
}

bool FieldReader::ReadTag() {
  uint32_t tag = 0;
  if (!cursor_.ReadVarint32(tag)) return false;
  number_ = tag >> kTypeBits;
  const uint32_t type = tag & kTypeMask;
  if (number_ == 0 || type > static_cast<uint32_t>(WireType::kFixed32)) return false;
  type_ = static_cast<WireType>(type);
  return true;
}

bool FieldReader::ReadPayload() {
  switch (type_) {
    case WireType::kVarint: return cursor_.ReadVarint64(scalar_);
    case WireType::kFixed64: return cursor_.ReadFixed64(scalar_);
    case WireType::kLengthDelimited: {
      uint64_t size = 0;
      return cursor_.ReadVarint64(size) && cursor_.ReadBytes(size, bytes_);
    }
    case WireType::kFixed32: {
      uint32_t value = 0;
      if (!cursor_.ReadFixed32(value)) return false;
      scalar_ = value;
      return true;
    }
    case WireType::kStartGroup:
    case WireType::kEndGroup: return false;  // an end without a start
  }
  return false;
}

bool FieldReader::SkipGroup(uint32_t field) {
  std::array<uint32_t, kMaxGroupDepth> open{};  // the groups we are in
  size_t depth = 0;
  open[depth++] = field;
  while (depth > 0) {
    if (!ReadTag()) return false;
    if (type_ == WireType::kStartGroup) {
      if (depth == open.size()) return false;
      open[depth++] = number_;
    } else if (type_ == WireType::kEndGroup) {
      if (number_ != open[--depth]) return false;
    } else if (!ReadPayload()) {
      return false;
    }
  }
  type_ = WireType::kStartGroup;
  return true;
}

bool FieldReader::GetVarint(uint64_t& value) const {
  if (type_ != WireType::kVarint) return false;
  value = scalar_;
  return true;
}

bool FieldReader::GetSigned(int64_t& value) const {
  uint64_t bits = 0;
  if (!GetVarint(bits)) return false;
  value = static_cast<int64_t>(bits);
  return true;
}

bool FieldReader::GetFixed32(uint32_t& value) const {
  if (type_ != WireType::kFixed32) return false;
  value = static_cast<uint32_t>(scalar_);
  return true;
}

bool FieldReader::GetFixed64(uint64_t& value) const {
  if (type_ != WireType::kFixed64) return false;
  value = scalar_;
  return true;
}

bool FieldReader::GetBytes(Bytes& value) const {
  if (type_ != WireType::kLengthDelimited) return false;
  value = bytes_;
  return true;
}

}  // namespace tensorbundle::format
