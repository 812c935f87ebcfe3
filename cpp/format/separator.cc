#include "format/separator.h"

#include <algorithm>

namespace tensorbundle::format {
namespace {

constexpr unsigned kLastByte = 0xff;

unsigned ByteAt(std::string_view text, size_t i) {
  return static_cast<unsigned char>(text[i]);
}

// `text` up to and including byte `i`, that byte plus one.
std::string IncrementedAt(std::string_view text, size_t i) {
  std::string key(text.substr(0, i));
  key += static_cast<char>(ByteAt(text, i) + 1);
  return key;
}

}  // namespace

std::string ShortestSeparator(std::string_view last, std::string_view next) {
  const size_t shorter = std::min(last.size(), next.size());
  size_t i = 0;
  while (i < shorter && last[i] == next[i]) ++i;
  const bool one_is_prefix = i == shorter;
  if (one_is_prefix || ByteAt(last, i) + 1 >= ByteAt(next, i)) return std::string(last);
  return IncrementedAt(last, i);
}

std::string ShortSuccessor(std::string_view last) {
  for (size_t i = 0; i < last.size(); ++i) {
    if (ByteAt(last, i) != kLastByte) return IncrementedAt(last, i);
  }
  return std::string(last);
}

}  // namespace tensorbundle::format
