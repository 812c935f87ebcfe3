// Bytes as a test can show them: "08 01" for two of them, spaces where they help.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tensorbundle::format {

inline unsigned HexDigit(char c) {
  return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
}

inline std::string FromHex(std::string_view hex) {
  std::string bytes;
  bool half = false;
  unsigned value = 0;
  for (const char c : hex) {
    if (c == ' ' || c == '|') continue;
    value = value << 4 | HexDigit(c);
    if (half) bytes += static_cast<char>(value & 0xff);
    half = !half;
  }
  return bytes;
}

inline std::string ToHex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 0xf];
  }
  return hex;
}

inline std::string ToHex(Bytes bytes) { return ToHex(AsText(bytes)); }

}  // namespace tensorbundle::format
