#include <algorithm>
#include <optional>
#include <utility>

#include "base/arithmetic.h"
#include "format/entry.h"
#include "format/entry_fields.h"
#include "format/shape_decode.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

constexpr uint64_t kStringChecksumSize = 4;  // after the lengths of a string tensor
constexpr uint64_t kMinVariantSize = 5;      // of an element: a length and a checksum

// An entry as it stands in the file.  Signed numbers are in two's complement: a
// negative one is a varint of ten bytes.
struct RawEntry {
  uint64_t dtype = 0;
  int64_t shard_id = 0;
  int64_t offset = 0;
  int64_t size = 0;
  uint32_t crc32c = 0;
  RawShape shape;
  std::vector<Bytes> slices;  // TensorSliceProto, not yet decoded
};

// One field; false where it has another wire type than the message's definition says.
bool ReadField(const FieldReader& field, RawEntry& entry, Bytes& nested) {
  switch (field.number()) {
    case kEntryDType: return field.GetVarint(entry.dtype);
    case kEntryShardId: return field.GetSigned(entry.shard_id);
    case kEntryOffset: return field.GetSigned(entry.offset);
    case kEntrySize: return field.GetSigned(entry.size);
    case kEntryCrc32c: return field.GetFixed32(entry.crc32c);
    case kEntryShape:
    case kEntrySlices: return field.GetBytes(nested);
    default: return true;
  }
}

Status ReadEntry(Bytes value, RawEntry& entry) {
  FieldReader fields(value);
  while (fields.Next()) {
    Bytes nested;
    if (!ReadField(fields, entry, nested)) {
      return Status(Code::kBadEntry, "field " + std::to_string(fields.number()) +
                                         " has the wrong wire type " +
                                         std::to_string(static_cast<int>(fields.type())));
    }
    if (fields.number() == kEntryShape) {
      TB_RETURN_IF_ERROR(ReadShape(nested, entry.shape));
    } else if (fields.number() == kEntrySlices) {
      if (entry.slices.size() == kMaxSlices) return TooMany("slices", kMaxSlices);
      entry.slices.push_back(nested);
    }
  }
  return fields.ok() ? Status() : NotAMessage("the entry");
}

// The size of a tensor in bytes against its number of elements.
Status CheckSize(DType dtype, uint64_t num_elements, int64_t size) {
  const uint32_t element_size = ElementSize(dtype);
  uint64_t expected = num_elements * element_size;  // fits: NumElements() has checked it
  bool sound = size >= 0 && static_cast<uint64_t>(size) == expected;
  std::string_view at_least;
  if (element_size == 0) {
    // A string takes its length at least.  TensorFlow reads an empty tensor of no bytes,
    // which lacks even the checksum of the lengths.
    const uint64_t per_element = dtype == DType::kVariant ? kMinVariantSize : 1;
    expected = CheckedMultiply(num_elements, per_element).value_or(INT64_MAX);
    if (dtype == DType::kString && num_elements != 0) expected += kStringChecksumSize;
    sound = size >= 0 && static_cast<uint64_t>(size) >= expected;
    at_least = "at least ";
  }
  if (sound) return Status();
  return Status(Code::kSizeMismatch, "stored in " + std::to_string(size) + " bytes, but " +
                                         std::to_string(num_elements) + " elements of " +
                                         std::string(NameOf(dtype)) + " take " +
                                         std::string(at_least) + std::to_string(expected));
}

Status CheckPlace(const RawEntry& raw) {
  if (raw.shard_id < 0 || raw.shard_id > INT32_MAX) {
    return Status(Code::kBadShardId, "shard_id is " + std::to_string(raw.shard_id));
  }
  if (raw.offset < 0 || raw.offset > INT64_MAX - raw.size) {
    return Status(Code::kOutOfBounds, std::to_string(raw.size) + " bytes at offset " +
                                          std::to_string(raw.offset) +
                                          " are not inside any file");
  }
  return Status();
}

}  // namespace

Result<uint64_t> NumElements(const Shape& shape, uint32_t element_size) {
  uint64_t product = std::max<uint32_t>(element_size, 1);
  bool empty = false;
  for (const uint64_t size : shape) {
    if (size == 0) {
      empty = true;
      continue;
    }
    const std::optional<uint64_t> next = CheckedMultiply(product, size);
    if (!next.has_value() || *next > static_cast<uint64_t>(INT64_MAX)) {
      return Status(Code::kBadShape, "the tensor would have more than 2^63 - 1 bytes");
    }
    product = *next;
  }
  return empty ? 0 : product / std::max<uint32_t>(element_size, 1);
}

Result<Entry> DecodeEntry(Bytes value) {
  RawEntry raw;
  TB_RETURN_IF_ERROR(ReadEntry(value, raw));
  Entry entry;
  TB_ASSIGN_OR_RETURN(entry.dtype, CheckDType(raw.dtype));
  TB_ASSIGN_OR_RETURN(entry.shape, CheckShape(raw.shape));
  TB_ASSIGN_OR_RETURN(const uint64_t num_elements,
                      NumElements(entry.shape, ElementSize(entry.dtype)));
  if (!raw.slices.empty()) {
    TB_ASSIGN_OR_RETURN(entry.slices, DecodeSlices(raw.slices, entry.shape));
    return entry;
  }
  TB_RETURN_IF_ERROR(CheckSize(entry.dtype, num_elements, raw.size));
  TB_RETURN_IF_ERROR(CheckPlace(raw));
  entry.shard_id = static_cast<uint32_t>(raw.shard_id);
  entry.offset = static_cast<uint64_t>(raw.offset);
  entry.size = static_cast<uint64_t>(raw.size);
  entry.crc32c = checksum::MaskedCrc32c(raw.crc32c);
  return entry;
}

}  // namespace tensorbundle::format
