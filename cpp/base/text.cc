#include "base/text.h"

#include <algorithm>

namespace tensorbundle {
namespace {

constexpr size_t kQuotedLimit = 200;  // bytes of a name shown before it is cut
constexpr char kHexDigits[] = "0123456789abcdef";

void AppendHexByte(std::string& out, unsigned char byte) {
  out += kHexDigits[byte >> 4];
  out += kHexDigits[byte & 0xf];
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The size of the UTF-8 character that `text` begins with; 0 where there is none
// (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
size_t Utf8Size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return 1;
  const size_t size = lead < 0xc2   ? 0
                      : lead < 0xe0 ? 2
                      : lead < 0xf0 ? 3
                      : lead < 0xf5 ? 4
                                    : 0;
  if (size == 0 || text.size() < size) return 0;
  const std::string_view rest = text.substr(1, size - 1);
  if (!std::all_of(rest.begin(), rest.end(), IsContinuation)) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool surrogate = lead == 0xed && second >= 0xa0;
  const bool too_large = lead == 0xf4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : size;
}

}  // namespace

std::string EscapeForMessage(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    const size_t size = Utf8Size(text);
    if (size == 0 || byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      AppendHexByte(out, byte);
    } else if (byte == '\\') {
      out += "\\\\";
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out;
}

std::string Quoted(std::string_view text) {
  if (text.size() <= kQuotedLimit) return '"' + EscapeForMessage(text) + '"';
  const size_t half = kQuotedLimit / 2;
  return '"' + EscapeForMessage(text.substr(0, half)) + "..." +
         EscapeForMessage(text.substr(text.size() - half)) + "\" (" +
         std::to_string(text.size()) + " bytes)";
}

std::string Hex(uint32_t value) {
  std::string out = "0x";
  for (int shift = 24; shift >= 0; shift -= 8) {
    AppendHexByte(out, static_cast<unsigned char>(value >> shift));
  }
  return out;
}

}  // namespace tensorbundle
