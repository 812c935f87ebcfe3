#include "base/bytes.h"

#include <string>

namespace tensorbundle {

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

}  // namespace tensorbundle
