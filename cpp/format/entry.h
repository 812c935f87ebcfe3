// The values of an index: one header, one entry per tensor.
//
// On disk they are protocol buffers (tensor_bundle.proto, tensor_shape.proto,
// tensor_slice.proto); we write TensorFlow's canonical bytes and read any legal
// encoding: unknown fields are skipped, the last value of a scalar wins.
//
// Trust: a decoded Header or Entry has been checked as far as it can be without
// its data files: known dtype, no negative or overflowing dimension, size equal to
// shape times element size, offset + size not wrapping, every slice inside the shape.
// Whether the shard exists and the range is inside it is for engine/reader.h, which
// knows the header and the shard's size.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "checksum/crc32c.h"
#include "format/dtype.h"

namespace tensorbundle::format {

constexpr size_t kMaxRank = 254;  // TensorShape::MaxDimensions
// A shape with more dimensions than kMaxRank is named as such; one with more than this
// is not even read to its end.
constexpr size_t kMaxReadDimensions = 1024;
constexpr size_t kMaxSlices = 131072;  // parts of one tensor
// Of all slices of one tensor: an extent of two bytes becomes one of sixteen.
constexpr size_t kMaxExtents = 1u << 20;

using Shape = std::vector<uint64_t>;  // elements per dimension; empty for a scalar

struct Header {
  uint32_t num_shards = 1;
  bool big_endian = false;
  friend bool operator==(const Header&, const Header&) = default;
};

// One dimension's part of a partitioned tensor.
struct Extent {
  static constexpr int64_t kFull = -1;
  int64_t start = 0;
  int64_t length = kFull;
  friend bool operator==(const Extent&, const Extent&) = default;
};
using Slice = std::vector<Extent>;

struct Entry {
  DType dtype = DType::kFloat32;
  Shape shape;
  uint32_t shard_id = 0;
  uint64_t offset = 0;  // bytes from the start of the shard
  uint64_t size = 0;    // bytes
  checksum::MaskedCrc32c crc32c;
  std::vector<Slice> slices;  // not empty: the tensor is stored in these parts
  friend bool operator==(const Entry&, const Entry&) = default;
};

// The product of the dimensions, 1 for a scalar.  An `element_size` of 0, of a type
// without one, counts as 1.
//
// Errors: kBadShape  the product of all dimensions that are not 0, times
//                    `element_size`, does not fit in 63 bits
Result<uint64_t> NumElements(const Shape& shape, uint32_t element_size);

std::string EncodeHeader(const Header& header);
// Errors: kBadHeader, kUnsupportedVersion
//         kUnsupportedFormat  it is the header of a V1 checkpoint
Result<Header> DecodeHeader(Bytes value);

void AppendEntry(const Entry& entry, std::string& out);

// Where an entry has slices, its shard_id, offset, size and crc32c say nothing and are
// 0 in the result.
//
// Errors: kBadEntry, kBadDType, kBadShape, kBadSlice, kSizeMismatch, kBadShardId,
//         kOutOfBounds, kLimitExceeded
Result<Entry> DecodeEntry(Bytes value);

}  // namespace tensorbundle::format
