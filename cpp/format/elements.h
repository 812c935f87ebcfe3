// The elements of tensors whose dtype gives them no fixed size: strings and variants.

#pragma once

#include <bit>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/entry.h"

namespace tensorbundle::format {

inline bool HasElementSize(DType dtype) { return ElementSize(dtype) != 0; }

// The elements of `entry`, stored in `order`, as views into `stored`.
//
// REQUIRES: !HasElementSize(entry.dtype)
//
// Errors: those of DecodeStrings() or DecodeVariants()
Result<std::vector<Bytes>> DecodeElements(const Entry& entry, Bytes stored, std::endian order,
                                          bool verify);

}  // namespace tensorbundle::format
