// A compressor for tests: literals, and copies for runs of one byte.

#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "format/coding.h"

namespace tensorbundle::format {

inline void AppendLiteral(std::string_view text, std::string& out) {
  if (text.empty()) return;
  const auto last = static_cast<uint32_t>(text.size() - 1);
  if (last < 60) {
    out += static_cast<char>(last << 2);
  } else {
    out += static_cast<char>(63 << 2);  // the size in four bytes
    PutFixed32(out, last);
  }
  out += text;
}

inline std::string EncodeSnappy(std::string_view text) {
  std::string out;
  PutVarint32(out, static_cast<uint32_t>(text.size()));
  while (!text.empty()) {
    size_t literal = 0;  // up to and with the first byte of a run
    size_t run = 0;      // bytes after it that repeat it
    while (literal < text.size() && run < 4) {
      ++literal;
      const size_t other = text.find_first_not_of(text[literal - 1], literal);
      run = std::min(other, text.size()) - literal;
    }
    AppendLiteral(text.substr(0, literal), out);
    text.remove_prefix(literal);
    for (size_t left = run; left > 0;) {
      const size_t size = std::min<size_t>(left, 64);
      out += static_cast<char>((size - 1) << 2 | 2);  // a copy, its offset in two bytes
      out += std::string("\1\0", 2);                  // one back
      left -= size;
    }
    text.remove_prefix(run);
  }
  return out;
}

}  // namespace tensorbundle::format
