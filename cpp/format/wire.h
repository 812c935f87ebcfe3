// Protocol-buffer wire format: tags, and the skipping of what is not known.
//
// https://protobuf.dev/programming-guides/encoding is the specification.  Only what
// the bundle's messages need is here: varint, fixed32, fixed64 and length-delimited
// fields are read; groups are skipped, at most kMaxGroupDepth deep.
//
// Trust: reads bytes from disk through a Cursor; never recurses without a bound.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "format/coding.h"

namespace tensorbundle::format {

enum class WireType : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kLengthDelimited = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

constexpr int kMaxGroupDepth = 100;  // protobuf's own default recursion limit

// Always written: leaving out a scalar that is zero is up to the caller.
void PutTag(std::string& out, uint32_t field, WireType type);
void PutVarintField(std::string& out, uint32_t field, uint64_t value);
void PutBytesField(std::string& out, uint32_t field, std::string_view value);

// One field at a time:
//
//   FieldReader fields(message);
//   while (fields.Next()) switch (fields.number()) { ... fields.varint() ... }
//   if (!fields.ok()) return Status(...);
//
// Next() decodes the whole field, so a case that ignores it has skipped it.
class FieldReader {
 public:
  explicit FieldReader(Bytes message) : cursor_(message) {}

  bool Next();  // false at the end and at the first fault
  bool ok() const { return ok_; }

  uint32_t number() const { return number_; }
  WireType type() const { return type_; }
  // True, and the value, where the field's wire type is that one.
  [[nodiscard]] bool GetVarint(uint64_t& value) const;
  [[nodiscard]] bool GetSigned(int64_t& value) const;  // a varint, in two's complement
  [[nodiscard]] bool GetFixed32(uint32_t& value) const;
  [[nodiscard]] bool GetFixed64(uint64_t& value) const;
  [[nodiscard]] bool GetBytes(Bytes& value) const;

 private:
  bool ReadTag();
  bool ReadPayload();
  bool SkipGroup(uint32_t field);

  Cursor cursor_;
  bool ok_ = true;
  uint32_t number_ = 0;
  WireType type_ = WireType::kVarint;
  uint64_t scalar_ = 0;  // of kVarint, kFixed32, kFixed64
  Bytes bytes_;          // of kLengthDelimited
};

}  // namespace tensorbundle::format
