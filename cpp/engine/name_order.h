// The order of the index: by the bytes of the names, each name once.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tensor_view.h"

namespace tensorbundle::engine {

// Whether the index can have that key: a tensor's name, or that of a partition's part.
//
// Errors: kInvalidArgument
Status CheckName(std::string_view name, bool is_part);

// Indices into `tensors`, and behind them, into the tensors whose parts are among them:
// `tensors.size()` stands for the first of these.  Names that come in order already are
// only compared with their neighbours.
//
// Errors: kInvalidArgument  a name is empty, too long, or the key of a partition's part
//         kAlreadyExists    a name is given twice, be it whole or in parts
//         kLimitExceeded    more than 2^32 - 1 tensors
Result<std::vector<uint32_t>> OrderByName(std::span<const TensorView> tensors,
                                          std::span<const PartitionedTensor> in_parts = {});

}  // namespace tensorbundle::engine
