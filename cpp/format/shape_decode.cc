#include "format/shape_decode.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/arithmetic.h"
#include "format/entry_fields.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

Status ReadDimension(Bytes message, RawShape& shape) {
  if (shape.dimensions.size() == kMaxReadDimensions) {
    return TooMany("dimensions", kMaxReadDimensions);
  }
  int64_t size = 0;
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.number() == kDimSize && !fields.GetSigned(size)) {
      return NotAMessage("a dimension");
    }
  }
  if (!fields.ok()) return NotAMessage("a dimension");
  shape.dimensions.push_back(size);
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
    if (!fields.GetSigned(number)) return NotAMessage(what);
    if (fields.number() == kExtentStart) start = number;
    if (fields.number() == kExtentLength) length = number;
  }
  if (!fields.ok()) return NotAMessage(what);
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
    if (!fields.GetBytes(extent)) return NotAMessage("a slice");
    if (slice.size() == shape.size()) {
      return Status(Code::kBadSlice, "a slice has more extents than the tensor's rank of " +
                                         std::to_string(shape.size()));
    }
    TB_RETURN_IF_ERROR(ReadExtent(extent, shape[slice.size()], slice));
  }
  if (!fields.ok()) return NotAMessage("a slice");
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

Status NotAMessage(std::string_view what) {
  return Status(Code::kBadEntry, std::string(what) + " is not a well-formed message");
}

Status TooMany(std::string_view what, size_t limit) {
  return Status(Code::kLimitExceeded,
                "more than " + std::to_string(limit) + " " + std::string(what));
}

Status ReadShape(Bytes message, RawShape& shape) {
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.number() == kShapeDim) {
      Bytes dimension;
      if (!fields.GetBytes(dimension)) return NotAMessage("the shape");
      TB_RETURN_IF_ERROR(ReadDimension(dimension, shape));
    } else if (fields.number() == kShapeUnknownRank) {
      uint64_t unknown = 0;
      if (!fields.GetVarint(unknown)) return NotAMessage("the shape");
      shape.unknown_rank = unknown != 0;
    }
  }
  return fields.ok() ? Status() : NotAMessage("the shape");
}

Result<DType> CheckDType(uint64_t number) {
  const std::optional<DType> dtype = DTypeFromNumber(number);
  if (dtype.has_value()) return *dtype;
  return Status(Code::kBadDType, "dtype " + std::to_string(static_cast<int64_t>(number)) +
                                     " is not one that a bundle can hold");
}

Result<Shape> CheckShape(const RawShape& raw) {
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

Result<std::vector<Slice>> DecodeSlices(const std::vector<Bytes>& messages,
                                        const Shape& shape) {
  if (messages.size() * std::max<size_t>(1, shape.size()) > kMaxExtents) {
    return TooMany("extents of slices", kMaxExtents);
  }
  std::vector<Slice> slices;
  for (const Bytes message : messages) {
    TB_ASSIGN_OR_RETURN(Slice slice, ReadSlice(message, shape));
    slices.push_back(std::move(slice));
  }
  TB_RETURN_IF_ERROR(CheckNoDuplicates(slices));
  return slices;
}

}  // namespace tensorbundle::format
