#include "fuzz/stored_elements.h"

#include "base/bytes.h"
#include "format/coding.h"
#include "format/elements.h"

namespace tensorbundle::fuzz {
namespace {

using format::InOrder;
using format::PutFixed32;
using format::PutFixed64;
using format::PutVarint64;

std::string Word(std::endian order, checksum::Crc32c crc) {
  std::string word;
  PutFixed32(word, InOrder(order, checksum::Mask(crc).value()));
  return word;
}

StoredElements StoreNumbers(format::DType dtype, std::span<const std::string> elements,
                            std::endian order) {
  StoredElements stored;
  for (const std::string& element : elements) stored.bytes += element;
  if (order == std::endian::big) {
    ReverseWords(std::as_writable_bytes(std::span(stored.bytes)),
                 format::InfoOf(dtype).swap_size);
  }
  stored.crc32c = checksum::Mask(checksum::Compute(AsBytes(stored.bytes)));
  return stored;
}

// format/string_tensor.h
StoredElements StoreStrings(std::span<const std::string> elements, std::endian order) {
  StoredElements stored;
  std::string sizes;
  std::string behind;
  for (const std::string& element : elements) {
    PutVarint64(stored.bytes, element.size());
    PutFixed32(sizes, InOrder(order, static_cast<uint32_t>(element.size())));
  }
  const checksum::Crc32c crc = checksum::Compute(AsBytes(sizes));
  behind = Word(order, crc);
  for (const std::string& element : elements) behind += element;
  stored.crc32c = checksum::Mask(checksum::Extend(crc, AsBytes(behind)));
  stored.bytes += behind;
  return stored;
}

// format/variant_tensor.h
StoredElements StoreVariants(std::span<const std::string> elements, std::endian order) {
  StoredElements stored;
  checksum::Crc32c crc;
  for (const std::string& element : elements) {
    std::string size;
    PutFixed64(size, InOrder(order, uint64_t{element.size()}));
    crc = checksum::Extend(checksum::Extend(crc, AsBytes(size)), AsBytes(element));
    const std::string word = Word(order, crc);
    crc = checksum::Extend(crc, AsBytes(word));
    PutVarint64(stored.bytes, element.size());
    stored.bytes += element + word;
  }
  stored.crc32c = checksum::Mask(crc);
  return stored;
}

}  // namespace

StoredElements Store(format::DType dtype, std::span<const std::string> elements,
                     std::endian order) {
  if (format::HasElementSize(dtype)) return StoreNumbers(dtype, elements, order);
  if (dtype == format::DType::kVariant) return StoreVariants(elements, order);
  return StoreStrings(elements, order);
}

}  // namespace tensorbundle::fuzz
