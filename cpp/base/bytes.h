// Borrowed bytes, and the one checked way to a part of them.
//
// A Bytes or MutableBytes does not own its memory: whoever takes one keeps the
// owner alive for as long as the function's comment says.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace tensorbundle {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// The part [offset, offset + size) of `bytes`.
//
// Errors: kOutOfRange  the part is not wholly inside
Result<Bytes> Subspan(Bytes bytes, uint64_t offset, uint64_t size);

// The same memory as characters and back; no bytes are copied.
std::string_view AsText(Bytes bytes);
Bytes AsBytes(std::string_view text);

// Reverses each run of `word` bytes: from one byte order to the other.
//
// REQUIRES: `word` is 1, 2, 4 or 8, and divides the number of bytes
void ReverseWords(MutableBytes bytes, size_t word);

}  // namespace tensorbundle
