// Reads shapes and slices as protocol buffers have them: TensorShapeProto and
// TensorSliceProto.  Entries (format/entry.h) and V1 checkpoints (format/v1_records.h)
// have both.
//
// Trust: reads bytes from disk.  A Shape has no negative dimension and at most kMaxRank; a
// Slice lies inside its shape.

#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/entry.h"

namespace tensorbundle::format {

// A shape as it stands in the file.
struct RawShape {
  std::vector<int64_t> dimensions;
  bool unknown_rank = false;
};

// Adds to what is there, as a message that is given twice is merged.
//
// Errors: kBadEntry, kLimitExceeded
Status ReadShape(Bytes message, RawShape& shape);

// Errors: kBadShape
Result<Shape> CheckShape(const RawShape& raw);

// Decodes each message, of which no two may say the same.
//
// Errors: kBadEntry, kBadSlice, kLimitExceeded
Result<std::vector<Slice>> DecodeSlices(const std::vector<Bytes>& messages,
                                        const Shape& shape);

// Errors: kBadDType
Result<DType> CheckDType(uint64_t number);

// "`what` is not a well-formed message", kBadEntry.
Status NotAMessage(std::string_view what);

// "more than `limit` `what`", kLimitExceeded.
Status TooMany(std::string_view what, size_t limit);

}  // namespace tensorbundle::format
