// The elements of a V1 checkpoint's slice: the repeated numbers of a TensorProto.
//
// Which field of tensor.proto has them depends on the dtype: floats as they are, integers as
// varints (int_val serves several types), half-precision floats as the varints of their
// bits, complex numbers as pairs, strings one by one.  Numbers may be packed or not.
//
// Ownership: a V1Elements borrows the bytes it was made of.
//
// Trust: reads bytes from disk.  Elements are counted before anybody takes memory for them;
// a number that its dtype cannot hold is refused.

#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/dtype.h"

namespace tensorbundle::format {

class V1Elements {
 public:
  // Errors: kBadEntry          `tensor` is not a TensorProto, or has half a number
  //         kUnsupportedDType  TensorProto has no field of the dtype's numbers
  static Result<V1Elements> Open(Bytes tensor, DType dtype);

  uint64_t count() const { return count_; }

  // Fills `out` with count() numbers; empty: only decodes them.
  //
  // REQUIRES: the dtype has an element size, and `out` has room for count() elements
  //
  // Errors: kBadEntry  a number is no varint, or out of the dtype's range
  Status CopyTo(MutableBytes out) const;

  // REQUIRES: the dtype is a string
  std::vector<Bytes> Strings() const;

 private:
  V1Elements(Bytes tensor, DType dtype) : tensor_(tensor), dtype_(dtype) {}

  Bytes tensor_;
  DType dtype_;
  uint64_t count_ = 0;
};

}  // namespace tensorbundle::format
