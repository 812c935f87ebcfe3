// The rules of partitioned tensors: which parts make one, and which of them hold what is
// wanted; where their bytes go is for engine/box_copy.h.  Pure functions from values to
// values; no file, no bundle.
//
// A part is a box (engine/box.h).  In an index it is a
// format::Slice, one extent per dimension, which may say "all of the dimension" in so many
// words; the index keeps what was said (format/slices.h), the rules see the boxes.
//
//   - every part lies inside the tensor and has a length above 0 in each dimension, but
//     for a dimension of size 0, of which only all can be had;
//   - no two parts share an element, nor is any listed twice;
//   - together they cover the tensor, or, where the rest is in other bundles that are
//     still to be merged (Coverage::kPartial), some of it;
//   - a part that is all of a tensor is no part: it is stored as a tensor (IsWhole).
//
// Whoever unites the parts of several bundles checks that dtype and shape agree, appends
// the slices in the order of the bundles, as TensorFlow does, and calls CheckParts().
//
// Threads: values; any thread.
//
// Trust: slices may come from disk, up to format::kMaxSlices of them.  Checking takes time
// in proportion to n log n for partitions into rows, columns, grids, and whatever else can
// be cut apart; others are compared in pairs, up to kMaxPartitionWork.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/box.h"
#include "engine/box_trees.h"
#include "format/entry.h"

namespace tensorbundle::engine {

// Steps of a check for overlaps: what a few thousand boxes may take that lie as no program
// would put them.
constexpr uint64_t kMaxPartitionWork = 16u << 20;

// Errors: kBadSlice  another rank, or not inside the shape
Result<Box> BoxOf(const format::Slice& slice, const format::Shape& shape);

// The slice that TensorFlow's partitioned variables store for that part: with numbers for
// all extents, also full ones.
//
// Errors: kBadSlice  another rank, not inside the shape, or without elements where the
//                    tensor has some
Result<format::Slice> SliceOf(const Box& box, const format::Shape& shape);

// Whether the slice is all of the tensor, in whichever words.
//
// REQUIRES: BoxOf() accepts it
bool IsWhole(const format::Slice& slice, const format::Shape& shape);

// "0,2:-" as in TensorFlow's shape_and_slices.
std::string SliceText(const format::Slice& slice);

enum class Coverage : uint8_t { kFull, kPartial };

// Errors: kBadSlice       a part is not inside the shape, or two of them overlap
//         kMissingSlice   they do not cover the tensor, where that is asked for
//         kLimitExceeded  more than format::kMaxSlices, or kMaxPartitionWork
Status CheckParts(const format::Shape& shape, std::span<const format::Slice> parts,
                  Coverage coverage);

// Of parts that are given, not stored: what is wrong with them is kInvalidArgument.
Status AsArgumentError(Status status);

// The parts of one tensor, checked as they come.
class PartSet {
 public:
  explicit PartSet(const format::Shape& shape) : shape_(shape), boxes_(shape.size()) {}

  // A refused part changes nothing.
  //
  // Errors: kBadSlice       not inside the shape, or overlaps a part that is there
  //         kLimitExceeded  more than format::kMaxSlices
  Status Add(const format::Slice& slice);

  // Errors: kMissingSlice
  Status CheckCoverage() const;

  const format::Shape& shape() const { return shape_; }
  const std::vector<format::Slice>& slices() const { return slices_; }

 private:
  const format::Shape shape_;
  std::vector<format::Slice> slices_;
  BoxTrees boxes_;            // the same
  uint64_t num_covered_ = 0;  // elements
};

// A part that holds some of what is wanted.
struct PartOfBox {
  size_t part = 0;  // its index
  Box place;        // of the whole part in the tensor
};

// Which of the parts hold the elements of `wanted`, in the order of `parts`.
//
// REQUIRES: `wanted` lies inside the shape
//
// Errors: kBadSlice       a part is not inside the shape, or two of those overlap
//         kMissingSlice   they do not cover `wanted`
//         kLimitExceeded  kMaxPartitionWork
Result<std::vector<PartOfBox>> FindParts(const format::Shape& shape,
                                         std::span<const format::Slice> parts,
                                         const Box& wanted);

}  // namespace tensorbundle::engine
