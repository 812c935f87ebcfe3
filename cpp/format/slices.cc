#include "format/slices.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

#include "format/coding.h"

namespace tensorbundle::format {
namespace {

constexpr char kEscapedZero[] = {'\x00', '\xff'};
constexpr char kEscapedLast[] = {'\xff', '\x00'};
constexpr char kTerminator[] = {'\x00', '\x01'};
constexpr size_t kMaxSignedSize = 10;  // bytes of an encoded signed number
constexpr int kBitsPerByte = 7;        // of a signed number that each of its bytes pays for

template <size_t N>
constexpr std::string_view View(const char (&bytes)[N]) {
  return {bytes, N};
}

uint8_t ByteAt(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// A count of bytes, then these bytes, the highest first.
void PutNumber(std::string& out, uint64_t value) {
  const int size = (static_cast<int>(std::bit_width(value)) + 7) / 8;
  out += static_cast<char>(size);
  for (int i = size - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void PutString(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\x00') {
      out += View(kEscapedZero);
    } else if (c == '\xff') {
      out += View(kEscapedLast);
    } else {
      out += c;
    }
  }
  out += View(kTerminator);
}

// The bytes that mark a number of `size` bytes: as many leading ones.
uint8_t SizeMark(size_t size, size_t byte) {
  const uint32_t ones = 0xffffU << (16 - size) & 0xffffU;
  return static_cast<uint8_t>(byte == 0 ? ones >> 8 : ones & 0xff);
}

// As many leading ones as the number takes bytes, a zero, and the number, the highest
// byte first.  A negative number is the complement of its complement's encoding, so
// that the bytes sort like the numbers.
void PutSigned(std::string& out, int64_t value) {
  const bool negative = value < 0;
  const auto magnitude = static_cast<uint64_t>(negative ? ~value : value);
  const auto size = static_cast<size_t>(std::bit_width(magnitude) / kBitsPerByte) + 1;
  for (size_t i = 0; i < size; ++i) {
    const size_t place = size - 1 - i;  // of the byte, from the lowest
    uint64_t byte = place < sizeof(magnitude) ? magnitude >> (8 * place) & 0xff : 0;
    if (i < 2) byte ^= SizeMark(size, i);
    out += static_cast<char>(negative ? ~byte : byte);
  }
}

bool GetNumber(std::string_view& text, uint64_t& value) {
  if (text.empty()) return false;
  const size_t size = ByteAt(text, 0);
  if (size > sizeof(value) || size > text.size() - 1) return false;
  value = 0;
  for (size_t i = 1; i <= size; ++i) value = value << 8 | ByteAt(text, i);
  text.remove_prefix(1 + size);
  return true;
}

bool GetString(std::string_view& text, std::string& value) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '\x00' && c != '\xff') {
      value += c;
      continue;
    }
    const std::string_view escape = text.substr(i++, 2);
    if (escape == View(kTerminator)) {
      text.remove_prefix(i + 1);
      return true;
    }
    if (escape != View(kEscapedZero) && escape != View(kEscapedLast)) return false;
    value += c;
  }
  return false;
}

bool GetSigned(std::string_view& text, int64_t& value) {
  if (text.empty()) return false;
  const bool negative = (ByteAt(text, 0) & 0x80) == 0;
  std::array<uint8_t, kMaxSignedSize> bytes{};
  const size_t available = std::min(text.size(), bytes.size());
  for (size_t i = 0; i < available; ++i) {
    bytes[i] = static_cast<uint8_t>(negative ? ~ByteAt(text, i) : ByteAt(text, i));
  }
  const auto size =
      static_cast<size_t>(std::countl_one(static_cast<uint16_t>(bytes[0] << 8 | bytes[1])));
  if (size > available) return false;
  uint64_t magnitude = 0;
  for (size_t i = 0; i < size; ++i) {
    magnitude = magnitude << 8 | (i < 2 ? bytes[i] ^ SizeMark(size, i) : bytes[i]);
  }
  if (magnitude > static_cast<uint64_t>(INT64_MAX)) return false;
  value = static_cast<int64_t>(magnitude);
  if (negative) value = ~value;
  text.remove_prefix(size);
  return true;
}

bool GetSliceKey(std::string_view text, SliceKey& key) {
  uint64_t zero = 0;
  uint64_t rank = 0;
  if (!GetNumber(text, zero) || zero != 0 || !GetString(text, key.name) ||
      !GetNumber(text, rank) || rank > kMaxRank) {
    return false;
  }
  for (uint64_t dimension = 0; dimension < rank; ++dimension) {
    Extent extent;
    if (!GetSigned(text, extent.start) || !GetSigned(text, extent.length)) return false;
    key.slice.push_back(extent);
  }
  return text.empty();
}

}  // namespace

std::string EncodeSliceKey(std::string_view name, const Slice& slice) {
  std::string key;
  PutNumber(key, 0);
  PutString(key, name);
  PutNumber(key, slice.size());
  for (const Extent& extent : slice) {
    PutSigned(key, extent.start);
    PutSigned(key, extent.length);
  }
  return key;
}

std::optional<SliceKey> DecodeSliceKey(std::string_view text) {
  SliceKey key;
  if (!GetSliceKey(text, key)) return std::nullopt;
  // The decoder reads overlong numbers, which the encoder never writes.
  if (EncodeSliceKey(key.name, key.slice) != text) return std::nullopt;
  return key;
}

}  // namespace tensorbundle::format
