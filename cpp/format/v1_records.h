// What the table of a V1 checkpoint holds: SavedTensorSlices of saved_tensor_slice.proto.
//
// Before bundles, TensorFlow kept the tensors themselves in a table (format/table.h): under
// the empty key which there are, and under the key of each slice (format/slices.h) its
// elements, as the repeated numbers of a TensorProto.  A tensor that is stored whole is one
// slice of full extents.  There is no checksum but those of the table's blocks.
//
// Trust: reads bytes from disk.  What leaves here has a known dtype, and a shape whose size
// in bytes fits in 63 bits, with every slice inside it.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/entry.h"

namespace tensorbundle::format {

// A record is less than 2 GiB, and a large one has a block of its own.
constexpr uint64_t kMaxV1BlockSize = UINT32_MAX;

struct V1Tensor {
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;
  std::vector<Slice> slices;
};

// The tensors that the value of the empty key lists.
//
// Errors: kBadHeader, kUnsupportedVersion
//         kUnsupportedFormat  it is the header of a bundle
//         kBadEntry, kBadDType, kBadShape, kBadSlice, kLimitExceeded  with the tensor's name
Result<std::vector<V1Tensor>> DecodeV1Tensors(Bytes value);

// The TensorProto with the elements of one slice, from the value of the slice's key.
//
// Errors: kBadEntry  not a record, or of a tensor of another name
Result<Bytes> DecodeV1Record(Bytes value, std::string_view name);

}  // namespace tensorbundle::format
