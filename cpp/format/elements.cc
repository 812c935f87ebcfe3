#include "format/elements.h"

#include "format/string_tensor.h"
#include "format/variant_tensor.h"

namespace tensorbundle::format {

Result<std::vector<Bytes>> DecodeElements(const Entry& entry, Bytes stored, std::endian order,
                                          bool verify) {
  TB_ASSIGN_OR_RETURN(const uint64_t count, NumElements(entry.shape, 1));
  if (entry.dtype == DType::kVariant) {
    return DecodeVariants(stored, count, entry.crc32c, verify, order);
  }
  return DecodeStrings(stored, count, entry.crc32c, verify, order);
}

}  // namespace tensorbundle::format
