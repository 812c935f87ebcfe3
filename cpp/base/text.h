// Names and numbers as they appear in messages.
//
// Names come from files and may hold any byte.  A control character would let a file
// forge log lines, and a byte that is no UTF-8 cannot be printed everywhere, so both are
// written as \xNN.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tensorbundle {

// `text` with control bytes, the backslash and whatever is not UTF-8 escaped.
std::string EscapeForMessage(std::string_view text);

// EscapeForMessage within double quotes, cut in the middle when it is long.
std::string Quoted(std::string_view text);

// "0x1a2b3c4d".
std::string Hex(uint32_t value);

}  // namespace tensorbundle
