#include <algorithm>
#include <optional>
#include <utility>

#include "base/arithmetic.h"
#include "format/entry.h"
#include "format/entry_fields.h"
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
  std::vector<int64_t> dimensions;
  bool unknown_rank = false;
  std::vector<Bytes> slices;  // TensorSliceProto, not yet decoded
};

Status NotAnEntry(std::string_view what) {
  return Status(Code::kBadEntry, std::string(what) + " is not a well-formed message");
}

Status TooMany(std::string_view what, size_t limit) {
  return Status(Code::kLimitExceeded,
                "more than " + std::to_string(limit) + " " + std::string(what));
}

bool GetSigned(const FieldReader& field, int64_t& value) {
  uint64_t bits = 0;
  if (!field.GetVarint(bits)) return false;
  value = static_cast<int64_t>(bits);
  return true;
}

Status ReadDimension(Bytes message, RawEntry& entry) {
  if (entry.dimensions.size() == kMaxReadDimensions) {
    return TooMany("dimensions", kMaxReadDimensions);
  }
  int64_t size = 0;
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.number() == kDimSize && !GetSigned(fields, size)) {
      return NotAnEntry("a dimension");
    }
  }
  if (!fields.ok()) return NotAnEntry("a dimension");
  entry.dimensions.push_back(size);
  return Status();
}

// Adds to what is there, as a message that is given twice is merged.
Status ReadShape(Bytes message, RawEntry& entry) {
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.number() == kShapeDim) {
      Bytes dimension;
      if (!fields.GetBytes(dimension)) return NotAnEntry("the shape");
      TB_RETURN_IF_ERROR(ReadDimension(dimension, entry));
    } else if (fields.number() == kShapeUnknownRank) {
      uint64_t unknown = 0;
      if (!fields.GetVarint(unknown)) return NotAnEntry("the shape");
      entry.unknown_rank = unknown != 0;
    }
  }
  return fields.ok() ? Status() : NotAnEntry("the shape");
}

// One field; false where it has another wire type than the message's definition says.
bool ReadField(const FieldReader& field, RawEntry& entry, Bytes& nested) {
  switch (field.number()) {
    case kEntryDType: return field.GetVarint(entry.dtype);
    case kEntryShardId: return GetSigned(field, entry.shard_id);
    case kEntryOffset: return GetSigned(field, entry.offset);
    case kEntrySize: return GetSigned(field, entry.size);
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
      TB_RETURN_IF_ERROR(ReadShape(nested, entry));
    } else if (fields.number() == kEntrySlices) {
      if (entry.slices.size() == kMaxSlices) return TooMany("slices", kMaxSlices);
      entry.slices.push_back(nested);
    }
  }
  return fields.ok() ? Status() : NotAnEntry("the entry");
}

Result<DType> CheckDType(const RawEntry& raw) {
  const std::optional<DType> dtype = DTypeFromNumber(raw.dtype);
  if (dtype.has_value()) return *dtype;
  return Status(Code::kBadDType, "dtype " + std::to_string(static_cast<int64_t>(raw.dtype)) +
                                     " is not one that a bundle can hold");
}

Result<Shape> CheckShape(const RawEntry& raw) {
  if (raw.unknown_rank) return Status(Code::kBadShape, "the shape's rank is unknown");
  if (raw.dimensions.size() > kMaxRank) {
    return Status(Code::kBadShape, "the rank is " + std::to_string(raw.dimensions.size()) +
                                       "; the limit is " + std::to_string(kMaxRank));
  }
  Shape shape;
  for (const int64_t size : raw.dimensions) {
    if (size < 0) {
      return Status(Code::kBadShape, "dimension " + std::to_string(shape.size()) + " is " +
                                         std::to_string(size) + ", less than 0");
    }
    shape.push_back(static_cast<uint64_t>(size));
  }
  return shape;
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

Status ReadExtent(Bytes message, uint64_t dimension_size, Slice& slice) {
  const std::string what = "the extent of dimension " + std::to_string(slice.size());
  int64_t start = 0;
  std::optional<int64_t> length;
  FieldReader fields(message);
  while (fields.Next()) {
    int64_t number = 0;
    if (fields.number() != kExtentStart && fields.number() != kExtentLength) continue;
    if (!GetSigned(fields, number)) return NotAnEntry(what);
    if (fields.number() == kExtentStart) start = number;
    if (fields.number() == kExtentLength) length = number;
  }
  if (!fields.ok()) return NotAnEntry(what);
  if (!length.has_value()) {
    if (start != 0) return Status(Code::kBadSlice, what + " has a start, but no length");
    slice.push_back(Extent{});
    return Status();
  }
  const auto end = CheckedAdd(static_cast<uint64_t>(start), static_cast<uint64_t>(*length));
  if (start < 0 || *length <= 0 || !end.has_value() || *end > dimension_size) {
    return Status(Code::kBadSlice, what + ", start " + std::to_string(start) + ", length " +
                                       std::to_string(*length) + ", is not inside its " +
                                       std::to_string(dimension_size));
  }
  slice.push_back(Extent{start, *length});
  return Status();
}

Result<Slice> ReadSlice(Bytes message, const Shape& shape) {
  Slice slice;
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.number() != kSliceExtent) continue;
    Bytes extent;
    if (!fields.GetBytes(extent)) return NotAnEntry("a slice");
    if (slice.size() == shape.size()) {
      return Status(Code::kBadSlice, "a slice has more extents than the tensor's rank of " +
                                         std::to_string(shape.size()));
    }
    TB_RETURN_IF_ERROR(ReadExtent(extent, shape[slice.size()], slice));
  }
  if (!fields.ok()) return NotAnEntry("a slice");
  if (slice.size() != shape.size()) {
    return Status(Code::kBadSlice, "a slice has " + std::to_string(slice.size()) +
                                       " extents, the tensor a rank of " +
                                       std::to_string(shape.size()));
  }
  return slice;
}

bool Precedes(const Slice* a, const Slice* b) {
  return std::ranges::lexicographical_compare(*a, *b, [](const Extent& x, const Extent& y) {
    return x.start != y.start ? x.start < y.start : x.length < y.length;
  });
}

Status CheckNoDuplicates(const std::vector<Slice>& slices) {
  std::vector<const Slice*> sorted;
  sorted.reserve(slices.size());
  for (const Slice& slice : slices) sorted.push_back(&slice);
  std::ranges::sort(sorted, Precedes);
  const auto same = [](const Slice* a, const Slice* b) { return *a == *b; };
  if (std::ranges::adjacent_find(sorted, same) == sorted.end()) return Status();
  return Status(Code::kBadSlice, "the same slice is there twice");
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
  TB_ASSIGN_OR_RETURN(entry.dtype, CheckDType(raw));
  TB_ASSIGN_OR_RETURN(entry.shape, CheckShape(raw));
  TB_ASSIGN_OR_RETURN(const uint64_t num_elements,
                      NumElements(entry.shape, ElementSize(entry.dtype)));
  if (!raw.slices.empty()) {
    if (raw.slices.size() * std::max<size_t>(1, entry.shape.size()) > kMaxExtents) {
      return TooMany("extents of slices", kMaxExtents);
    }
    for (const Bytes message : raw.slices) {
      TB_ASSIGN_OR_RETURN(Slice slice, ReadSlice(message, entry.shape));
      entry.slices.push_back(std::move(slice));
    }
    TB_RETURN_IF_ERROR(CheckNoDuplicates(entry.slices));
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
