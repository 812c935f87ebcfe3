#include "format/variant_tensor.h"

#include <string>

#include "base/text.h"
#include "format/coding.h"

namespace tensorbundle::format {
namespace {

constexpr uint64_t kMinElementSize = 5;  // bytes: a size and a checksum

// An element as it is stored.
struct Stored {
  Bytes value;
  uint32_t checksum_word = 0;  // as read: little-endian
};

bool ReadElement(Cursor& cursor, Stored& element) {
  uint64_t size = 0;
  return cursor.ReadVarint64(size) && cursor.ReadBytes(size, element.value) &&
         cursor.ReadFixed32(element.checksum_word);
}

checksum::Crc32c ExtendWord(checksum::Crc32c crc, uint32_t word) {
  std::string bytes;
  PutFixed32(bytes, word);
  return checksum::Extend(crc, AsBytes(bytes));
}

// The checksum behind an element's bytes: what its stored word should be.
checksum::Crc32c ExtendElement(checksum::Crc32c crc, Bytes value, std::endian order) {
  std::string size;
  PutFixed64(size, InOrder(order, uint64_t{value.size()}));
  return checksum::Extend(checksum::Extend(crc, AsBytes(size)), value);
}

Status Mismatch(const std::string& what, checksum::MaskedCrc32c stored,
                checksum::MaskedCrc32c computed) {
  return Status(Code::kDataChecksumMismatch, "the checksum of " + what + " is " +
                                                 Hex(computed.value()) + ", stored is " +
                                                 Hex(stored.value()));
}

Status CheckElements(const std::vector<Stored>& elements, checksum::MaskedCrc32c expected,
                     std::endian order) {
  checksum::Crc32c crc;
  for (size_t i = 0; i < elements.size(); ++i) {
    crc = ExtendElement(crc, elements[i].value, order);
    const checksum::MaskedCrc32c stored(InOrder(order, elements[i].checksum_word));
    if (stored != checksum::Mask(crc)) {
      return Mismatch("variant " + std::to_string(i), stored, checksum::Mask(crc));
    }
    crc = ExtendWord(crc, elements[i].checksum_word);
  }
  if (checksum::Mask(crc) == expected) return Status();
  return Mismatch("the tensor", expected, checksum::Mask(crc));
}

}  // namespace

VariantBytes EncodeVariants(std::span<const Bytes> elements) {
  VariantBytes tensor;
  for (const Bytes element : elements) {
    tensor.crc = ExtendElement(tensor.crc, element, std::endian::little);
    const uint32_t word = checksum::Mask(tensor.crc).value();
    tensor.crc = ExtendWord(tensor.crc, word);
    PutVarint64(tensor.stored, element.size());
    tensor.stored += AsText(element);
    PutFixed32(tensor.stored, word);
  }
  return tensor;
}

Result<std::vector<Bytes>> DecodeVariants(Bytes stored, uint64_t num_elements,
                                          checksum::MaskedCrc32c expected, bool verify,
                                          std::endian order) {
  if (num_elements > stored.size() / kMinElementSize) {
    return Status(Code::kSizeMismatch, std::to_string(num_elements) +
                                           " variants do not fit in " +
                                           std::to_string(stored.size()) + " bytes");
  }
  Cursor cursor(stored);
  std::vector<Stored> elements(num_elements);
  for (size_t i = 0; i < elements.size(); ++i) {
    if (ReadElement(cursor, elements[i])) continue;
    return Status(Code::kBadStringLengths, "variant " + std::to_string(i) +
                                               " is not inside a tensor of " +
                                               std::to_string(stored.size()) + " bytes");
  }
  if (!cursor.done()) {
    return Status(Code::kBadStringLengths,
                  "the variants end " + std::to_string(cursor.remaining()) +
                      " bytes before their tensor of " + std::to_string(stored.size()));
  }
  if (verify) TB_RETURN_IF_ERROR(CheckElements(elements, expected, order));
  std::vector<Bytes> values(num_elements);
  for (size_t i = 0; i < values.size(); ++i) values[i] = elements[i].value;
  return values;
}

}  // namespace tensorbundle::format
