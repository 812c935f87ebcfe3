#include "format/entry.h"
#include "format/entry_fields.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

// proto3 leaves out a scalar that is zero.
void PutNonZero(std::string& out, uint32_t field, uint64_t value) {
  if (value != 0) PutVarintField(out, field, value);
}

std::string EncodeShape(const Shape& shape) {
  std::string out;
  for (const uint64_t size : shape) {
    std::string dimension;
    PutNonZero(dimension, kDimSize, size);
    PutBytesField(out, kShapeDim, dimension);
  }
  return out;
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
  PutBytesField(out, kEntryShape, EncodeShape(entry.shape));  // even a scalar's, "12 00"
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
