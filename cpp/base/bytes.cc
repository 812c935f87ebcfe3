#include "base/bytes.h"

#include <algorithm>
#include <string>

namespace tensorbundle {
namespace {

// With a constant size the compiler makes one instruction of many words.
template <size_t kWord>
void ReverseWordsOf(MutableBytes bytes) {
  for (size_t at = 0; at < bytes.size(); at += kWord) {
    const auto word = bytes.subspan(at).first<kWord>();
    std::reverse(word.begin(), word.end());
  }
}

}  // namespace

Result<Bytes> Subspan(Bytes bytes, uint64_t offset, uint64_t size) {
  // Two comparisons, not offset + size > n: the sum could wrap around.
  if (offset > bytes.size() || size > bytes.size() - offset) {
    return Status(Code::kOutOfRange, std::to_string(size) + " bytes at offset " +
                                         std::to_string(offset) + " are not inside " +
                                         std::to_string(bytes.size()) + " bytes");
  }
  return bytes.subspan(offset, size);
}

std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

void ReverseWords(MutableBytes bytes, size_t word) {
  switch (word) {
    case 2: return ReverseWordsOf<2>(bytes);
    case 4: return ReverseWordsOf<4>(bytes);
    case 8: return ReverseWordsOf<8>(bytes);
    default: return;
  }
}

}  // namespace tensorbundle
