#include "format/entry.h"
#include "format/entry_fields.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

// proto3 leaves out a scalar that is zero.
void PutNonZero(std::string& out, uint32_t field, uint64_t value) {
  if (value != 0) PutVarintField(out, field, value);
}

// A message's size stands before it, so it is computed first: an index may have a million
// shapes, and a string for each costs more than that.
constexpr uint64_t kTagSize = 1;  // bytes, of fields up to 15

uint64_t DimensionSize(uint64_t size) { return size == 0 ? 0 : kTagSize + VarintSize(size); }

void PutShape(std::string& out, const Shape& shape) {
  uint64_t message_size = 0;
  for (const uint64_t size : shape) {
    const uint64_t dimension = DimensionSize(size);
    message_size += kTagSize + VarintSize(dimension) + dimension;
  }
  PutTag(out, kEntryShape, WireType::kLengthDelimited);
  PutVarint64(out, message_size);
  for (const uint64_t size : shape) {
    PutTag(out, kShapeDim, WireType::kLengthDelimited);
    PutVarint64(out, DimensionSize(size));
    PutNonZero(out, kDimSize, size);
  }
}

// A full extent is an empty message; else the length is there whatever it is, as it is
// a member of a oneof.
std::string EncodeSlice(const Slice& slice) {
  std::string out;
  for (const Extent& extent : slice) {
    std::string message;
    if (extent.length != Extent::kFull) {
      PutNonZero(message, kExtentStart, static_cast<uint64_t>(extent.start));
      PutVarintField(message, kExtentLength, static_cast<uint64_t>(extent.length));
    }
    PutBytesField(out, kSliceExtent, message);
  }
  return out;
}

}  // namespace

void AppendEntry(const Entry& entry, std::string& out) {
  PutVarintField(out, kEntryDType, static_cast<uint64_t>(entry.dtype));
  PutShape(out, entry.shape);  // even a scalar's, "12 00"
  PutNonZero(out, kEntryShardId, entry.shard_id);
  PutNonZero(out, kEntryOffset, entry.offset);
  PutNonZero(out, kEntrySize, entry.size);
  if (entry.crc32c.value() != 0) {
    PutTag(out, kEntryCrc32c, WireType::kFixed32);
    PutFixed32(out, entry.crc32c.value());
  }
  for (const Slice& slice : entry.slices) {
    PutBytesField(out, kEntrySlices, EncodeSlice(slice));
  }
}

}  // namespace tensorbundle::format
