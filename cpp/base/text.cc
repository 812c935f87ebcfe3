#include "base/text.h"

namespace tensorbundle {
namespace {

constexpr size_t kQuotedLimit = 200;  // bytes of a name shown before it is cut
constexpr char kHexDigits[] = "0123456789abcdef";

void AppendHexByte(std::string& out, unsigned char byte) {
  out += kHexDigits[byte >> 4];
  out += kHexDigits[byte & 0xf];
}

}  // namespace

std::string EscapeForMessage(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      AppendHexByte(out, byte);
    } else if (byte == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
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
