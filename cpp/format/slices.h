// The keys under which the parts of a partitioned tensor are stored.
//
//   number 0, string NAME, number RANK, then per dimension signed START, signed
//   LENGTH, all in OrderedCode; a full dimension is start 0, length -1
//
// Every such key begins with a zero byte, so parts sort behind the header and before
// ordinary names.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "format/entry.h"

namespace tensorbundle::format {

std::string EncodeSliceKey(std::string_view name, const Slice& slice);

struct SliceKey {
  std::string name;
  Slice slice;
};

// Absent where `key` is not, byte for byte, what EncodeSliceKey() gives for some
// name and slice.
std::optional<SliceKey> DecodeSliceKey(std::string_view key);

}  // namespace tensorbundle::format
