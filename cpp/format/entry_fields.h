// The field numbers of an entry's messages; for entry_encode.cc and entry_decode.cc.

#pragma once

#include <cstdint>

namespace tensorbundle::format {

// BundleEntryProto, tensor_bundle.proto
enum EntryField : uint32_t {
  kEntryDType = 1,
  kEntryShape = 2,
  kEntryShardId = 3,
  kEntryOffset = 4,
  kEntrySize = 5,
  kEntryCrc32c = 6,
  kEntrySlices = 7,
};

// TensorShapeProto and its Dim, tensor_shape.proto
enum ShapeField : uint32_t { kShapeDim = 2, kShapeUnknownRank = 3 };
enum DimField : uint32_t { kDimSize = 1 };

// TensorSliceProto and its Extent, tensor_slice.proto
enum SliceField : uint32_t { kSliceExtent = 1 };
enum ExtentField : uint32_t { kExtentStart = 1, kExtentLength = 2 };

}  // namespace tensorbundle::format
