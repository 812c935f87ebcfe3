#include "format/compression.h"

#include <string>
#include <utility>

#include "format/coding.h"

namespace tensorbundle::format {
namespace {

// Literals of more than this many bytes have their size in bytes of its own.
constexpr uint32_t kInlineLiteral = 60;

Status Bad(Bytes compressed, const std::string& what) {
  return Status(Code::kBadCompression,
                "a Snappy block of " + std::to_string(compressed.size()) + " bytes " + what);
}

class SnappyDecoder {
 public:
  SnappyDecoder(Cursor cursor, uint64_t size) : cursor_(cursor), size_(size) {
    out_.reserve(size);
  }

  // False where the block is damaged.
  bool Decode() {
    while (!cursor_.done()) {
      Bytes tag;
      if (!cursor_.ReadBytes(1, tag)) return false;
      const auto value = std::to_integer<uint32_t>(tag[0]);
      if (!((value & 3) == 0 ? Literal(value >> 2) : Copy(value))) return false;
    }
    return out_.size() == size_;
  }

  std::vector<std::byte> TakeOutput() { return std::move(out_); }

 private:
  // A little-endian integer of up to four bytes.
  bool ReadInteger(uint32_t num_bytes, uint64_t& value) {
    Bytes bytes;
    if (!cursor_.ReadBytes(num_bytes, bytes)) return false;
    value = 0;
    for (size_t i = bytes.size(); i-- > 0;) {
      value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
    }
    return true;
  }

  bool Literal(uint32_t size_code) {
    uint64_t last = size_code;
    if (size_code >= kInlineLiteral && !ReadInteger(size_code - kInlineLiteral + 1, last)) {
      return false;
    }
    Bytes bytes;
    if (last + 1 > size_ - out_.size() || !cursor_.ReadBytes(last + 1, bytes)) return false;
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return true;
  }

  bool Copy(uint32_t tag) {
    uint64_t offset = 0;
    uint64_t size = (tag >> 2) + 1;
    if ((tag & 3) == 1) {
      if (!ReadInteger(1, offset)) return false;
      offset |= uint64_t{tag >> 5} << 8;
      size = ((tag >> 2) & 7) + 4;
    } else if (!ReadInteger((tag & 3) == 2 ? 2 : 4, offset)) {
      return false;
    }
    if (offset == 0 || offset > out_.size() || size > size_ - out_.size()) return false;
    // Byte by byte: the source may run into what is being written.
    for (size_t from = out_.size() - offset; size > 0; --size) out_.push_back(out_[from++]);
    return true;
  }

  Cursor cursor_;
  const uint64_t size_;  // of the decoded block; out_ never grows beyond it
  std::vector<std::byte> out_;
};

// Reads the size and leaves the cursor behind it.
Result<uint64_t> ReadDecodedSize(Bytes compressed, Cursor& cursor) {
  uint32_t size = 0;
  if (!cursor.ReadVarint32(size)) {
    return Bad(compressed, "does not begin with its decoded size");
  }
  return uint64_t{size};
}

}  // namespace

Result<uint64_t> SnappyDecodedSize(Bytes compressed) {
  Cursor cursor(compressed);
  return ReadDecodedSize(compressed, cursor);
}

Result<std::vector<std::byte>> DecodeSnappy(Bytes compressed) {
  Cursor cursor(compressed);
  TB_ASSIGN_OR_RETURN(const uint64_t size, ReadDecodedSize(compressed, cursor));
  const std::string claim = "does not decode to the " + std::to_string(size) + " it claims";
  if (size / kMaxSnappyExpansion > compressed.size()) return Bad(compressed, claim);
  SnappyDecoder decoder(cursor, size);
  if (!decoder.Decode()) return Bad(compressed, claim);
  return decoder.TakeOutput();
}

}  // namespace tensorbundle::format
