// The order of the index: by the bytes of the names, each name once.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/tensor_view.h"

namespace tensorbundle::engine {

// Indices into `tensors`.  Names that come in order already are only compared with their
// neighbours.
//
// Errors: kInvalidArgument  a name is empty, too long, or the key of a partition's part
//         kAlreadyExists    a name is given twice
//         kLimitExceeded    more than 2^32 - 1 tensors
Result<std::vector<uint32_t>> OrderByName(std::span<const TensorView> tensors);

}  // namespace tensorbundle::engine
