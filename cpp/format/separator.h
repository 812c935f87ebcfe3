// Short keys for the index block.
//
// The index block names each data block by a key that is at least the block's last
// and less than the next block's first.  Any such key serves a reader; these are the
// ones that LevelDB's bytewise comparator picks, and so TensorFlow.

#pragma once

#include <string>
#include <string_view>

namespace tensorbundle::format {

// A key k, last <= k < next: `last` up to and including its first byte that differs
// from `next`, that byte plus one, where this is less than `next`; else `last`.
//
// REQUIRES: last < next
std::string ShortestSeparator(std::string_view last, std::string_view next);

// A key that is not less than `last`: its first byte below 0xff, plus one, and what
// stands before it; `last` itself where every byte is 0xff.
std::string ShortSuccessor(std::string_view last);

}  // namespace tensorbundle::format
