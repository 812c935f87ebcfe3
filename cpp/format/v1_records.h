// What the table of a V1 checkpoint holds: SavedTensorSlices of saved_tensor_slice.proto.
//
// Before bundles, TensorFlow kept the tensors themselves in a table (format/table.h): under
// the empty key which there are, and under the key of each slice (format/slices.h) its
// elements, as the repeated numbers of a TensorProto.  A tensor that is stored whole is one
// slice of full extents.  There is no checksum but those of the table's blocks.
//
// Trust: reads bytes from disk.  The list tells the tensors' names; what else it says of one
// is decoded when it is wanted, so that a tensor of which it says nonsense leaves the others
// readable.  A V1Tensor has a known dtype, and a shape whose size in bytes fits in 63 bits,
// with every slice inside it.

#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/entry.h"

namespace tensorbundle::format {

// A record is less than 2 GiB, and a large one has a block of its own.
constexpr uint64_t kMaxV1BlockSize = UINT32_MAX;

struct V1Tensor {
  DType dtype = DType::kFloat32;
  Shape shape;
  std::vector<Slice> slices;  // not empty
};

// Called with a tensor's name and what DecodeV1Tensor() takes, both of them views.
using V1Visitor = std::function<Status(std::string_view name, Bytes message)>;

// Visits the tensors that the value of the empty key lists, in its order; nothing keeps it
// from listing one several times.
//
// Errors: kBadHeader, kUnsupportedVersion
//         kUnsupportedFormat  it is the header of a bundle
//         kBadEntry           a tensor has no name
//         whatever `visit` returns
Status ForEachV1Tensor(Bytes value, const V1Visitor& visit);

// Errors: kBadEntry, kBadDType, kBadShape, kBadSlice, kLimitExceeded
Result<V1Tensor> DecodeV1Tensor(Bytes message);

// The TensorProto with the elements of one slice, from the value of the slice's key.
//
// Errors: kBadEntry  not a record, or of a tensor of another name
Result<Bytes> DecodeV1Record(Bytes value, std::string_view name);

}  // namespace tensorbundle::format
