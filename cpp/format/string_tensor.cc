#include "format/string_tensor.h"

#include <cstddef>
#include <optional>

#include "base/arithmetic.h"
#include "base/text.h"
#include "format/coding.h"

namespace tensorbundle::format {
namespace {

constexpr size_t kChecksumSize = sizeof(uint32_t);
constexpr uint64_t kMaxSize = INT64_MAX;  // BundleEntryProto.size is an int64

// The checksum of the sizes as little-endian words, a few hundred at a time.
class SizesChecksum {
 public:
  explicit SizesChecksum(std::endian order = std::endian::little) : order_(order) {}

  void Add(uint64_t size) {
    if (size <= UINT32_MAX) {
      PutFixed32(words_, InOrder(order_, static_cast<uint32_t>(size)));
    } else {
      PutFixed64(words_, InOrder(order_, size));
    }
    if (words_.size() >= kBatch) Flush();
  }

  checksum::Crc32c Get() {
    Flush();
    return crc_;
  }

 private:
  static constexpr size_t kBatch = 4096;  // bytes

  void Flush() {
    crc_ = checksum::Extend(crc_, AsBytes(words_));
    words_.clear();
  }

  const std::endian order_;
  std::string words_;
  checksum::Crc32c crc_;
};

struct Sizes {
  Bytes words;    // the varints
  Bytes strings;  // what stands behind the checksum
  checksum::MaskedCrc32c stored;
  checksum::MaskedCrc32c computed;
};

Status BadLengths(const std::string& message) {
  return Status(Code::kBadStringLengths, message);
}

Status ChecksumMismatch(std::string_view what, checksum::MaskedCrc32c stored,
                        checksum::MaskedCrc32c computed) {
  return Status(Code::kDataChecksumMismatch, "the checksum of " + std::string(what) + " is " +
                                                 Hex(computed.value()) + ", stored is " +
                                                 Hex(stored.value()));
}

// Reads the sizes without keeping them: nothing is allocated for a number of elements
// before that many sizes were there and added up to the bytes that follow.
Result<Sizes> CheckSizes(Bytes stored, uint64_t num_elements, std::endian order) {
  Cursor cursor(stored);
  SizesChecksum checksum(order);
  uint64_t total = 0;
  for (uint64_t i = 0; i < num_elements; ++i) {
    uint64_t size = 0;
    if (!cursor.ReadVarint64(size)) {
      return BadLengths("the length of string " + std::to_string(i) + " is not a varint");
    }
    if (size > stored.size() - total) {
      return BadLengths("string " + std::to_string(i) + " of " + std::to_string(size) +
                        " bytes is not inside a tensor of " + std::to_string(stored.size()));
    }
    total += size;
    checksum.Add(size);
  }
  Sizes sizes;
  sizes.words = stored.first(cursor.position());
  uint32_t stored_crc = 0;
  if (!cursor.ReadFixed32(stored_crc) || !cursor.ReadBytes(total, sizes.strings) ||
      !cursor.done()) {
    return BadLengths("the strings have " + std::to_string(total) +
                      " bytes after their lengths, the tensor has " +
                      std::to_string(stored.size()) + " with them");
  }
  sizes.stored = checksum::MaskedCrc32c(InOrder(order, stored_crc));
  sizes.computed = checksum::Mask(checksum.Get());
  return sizes;
}

}  // namespace

Result<StringLayout> LayOutStrings(std::span<const Bytes> elements) {
  StringLayout layout;
  SizesChecksum checksum;
  uint64_t total = 0;
  for (const Bytes element : elements) {
    PutVarint64(layout.head, element.size());
    checksum.Add(element.size());
    const std::optional<uint64_t> sum = CheckedAdd(total, element.size());
    if (!sum.has_value() || *sum > kMaxSize) {
      return Status(Code::kLimitExceeded, "the strings are larger than 2^63 - 1 bytes");
    }
    total = *sum;
  }
  std::string stored_crc;
  layout.crc = checksum.Get();
  PutFixed32(stored_crc, checksum::Mask(layout.crc).value());
  layout.head += stored_crc;
  if (layout.head.size() > kMaxSize - total) {
    return Status(Code::kLimitExceeded, "the strings are larger than 2^63 - 1 bytes");
  }
  layout.size = layout.head.size() + total;
  layout.crc = checksum::Extend(layout.crc, AsBytes(stored_crc));
  for (const Bytes element : elements) layout.crc = checksum::Extend(layout.crc, element);
  return layout;
}

Result<std::vector<Bytes>> DecodeStrings(Bytes stored, uint64_t num_elements,
                                         checksum::MaskedCrc32c expected, bool verify,
                                         std::endian order) {
  // TensorFlow reads an empty tensor of no bytes, which lacks even the lengths' checksum.
  if (stored.empty() && num_elements == 0) {
    const checksum::MaskedCrc32c nothing = checksum::Mask(checksum::Crc32c());
    if (verify && expected != nothing)
      return ChecksumMismatch("the tensor", expected, nothing);
    return std::vector<Bytes>();
  }
  if (stored.size() < kChecksumSize || num_elements > stored.size() - kChecksumSize) {
    return Status(Code::kSizeMismatch, std::to_string(num_elements) +
                                           " strings and a checksum do not fit in " +
                                           std::to_string(stored.size()) + " bytes");
  }
  TB_ASSIGN_OR_RETURN(const Sizes sizes, CheckSizes(stored, num_elements, order));
  if (sizes.stored != sizes.computed) {
    return ChecksumMismatch("the string lengths", sizes.stored, sizes.computed);
  }
  if (verify) {
    const Bytes behind_sizes = stored.subspan(sizes.words.size());
    const auto crc =
        checksum::Mask(checksum::Extend(checksum::Unmask(sizes.computed), behind_sizes));
    if (crc != expected) return ChecksumMismatch("the tensor", expected, crc);
  }
  std::vector<Bytes> elements(num_elements);
  Cursor words(sizes.words);
  Cursor strings(sizes.strings);
  for (Bytes& element : elements) {
    uint64_t size = 0;
    if (!words.ReadVarint64(size) || !strings.ReadBytes(size, element)) {
      return BadLengths("the lengths changed while they were read");
    }
  }
  return elements;
}

}  // namespace tensorbundle::format
