#include "format/coding.h"

#include <array>
#include <cassert>

namespace tensorbundle::format {
namespace {

constexpr uint64_t kContinuation = 0x80;  // set in every byte of a varint but the last
constexpr uint64_t kPayload = 0x7f;
constexpr int kPayloadBits = 7;
constexpr size_t kMaxVarintSize = 10;  // bytes: 64 bits, 7 in each

void PutLittleEndian(std::string& out, uint64_t value, size_t size) {
  std::array<char, sizeof(value)> bytes;
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(value >> (8 * i) & 0xff);
  out.append(bytes.data(), size);
}

uint64_t LoadLittleEndian(Bytes bytes, size_t size) {
  assert(bytes.size() >= size);
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  return value;
}

// Reads a varint of at most `bits` bits from the front of `bytes`; its size in
// bytes, or 0 where there is none.  An encoding longer than needed is legal
// (protobuf and LevelDB read it) as long as no bit lies beyond `bits`.
size_t LoadVarint(Bytes bytes, int bits, uint64_t& value) {
  uint64_t result = 0;
  size_t size = 0;
  for (int shift = 0; shift < bits; shift += kPayloadBits) {
    if (size == bytes.size()) return 0;
    const auto byte = std::to_integer<uint64_t>(bytes[size++]);
    const uint64_t payload = byte & kPayload;
    if (bits - shift < kPayloadBits && payload >> (bits - shift) != 0) return 0;
    result |= payload << shift;
    if ((byte & kContinuation) == 0) {
      value = result;
      return size;
    }
  }
  return 0;
}

template <typename Word>
Word Reversed(Word value) {
  Word reversed = 0;
  for (size_t i = 0; i < sizeof(value); ++i) {
    reversed = static_cast<Word>(reversed << 8 | (value >> (8 * i) & 0xff));
  }
  return reversed;
}

}  // namespace

void PutFixed32(std::string& out, uint32_t value) { PutLittleEndian(out, value, 4); }
void PutFixed64(std::string& out, uint64_t value) { PutLittleEndian(out, value, 8); }
void PutVarint32(std::string& out, uint32_t value) { PutVarint64(out, value); }

void PutVarint64(std::string& out, uint64_t value) {
  if (value <= kPayload) {
    out += static_cast<char>(value);
    return;
  }
  // Put in place first: to append costs more than to encode.
  std::array<char, kMaxVarintSize> bytes;
  size_t size = 0;
  for (; value > kPayload; value >>= kPayloadBits) {
    bytes[size++] = static_cast<char>((value & kPayload) | kContinuation);
  }
  bytes[size++] = static_cast<char>(value);
  out.append(bytes.data(), size);
}

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  while (value > kPayload) {
    value >>= kPayloadBits;
    ++size;
  }
  return size;
}

uint32_t LoadFixed32(Bytes bytes) { return static_cast<uint32_t>(LoadLittleEndian(bytes, 4)); }

uint64_t LoadFixed64(Bytes bytes) { return LoadLittleEndian(bytes, 8); }

uint32_t InOrder(std::endian order, uint32_t value) {
  return order == std::endian::little ? value : Reversed(value);
}

uint64_t InOrder(std::endian order, uint64_t value) {
  return order == std::endian::little ? value : Reversed(value);
}

bool Cursor::ReadFixed32(uint32_t& value) {
  Bytes bytes;
  if (!ReadBytes(4, bytes)) return false;
  value = LoadFixed32(bytes);
  return true;
}

bool Cursor::ReadFixed64(uint64_t& value) {
  Bytes bytes;
  if (!ReadBytes(8, bytes)) return false;
  value = LoadFixed64(bytes);
  return true;
}

bool Cursor::ReadVarint32(uint32_t& value) {
  uint64_t wide = 0;
  const size_t size = LoadVarint(bytes_.subspan(position_), 32, wide);
  if (size == 0) return false;
  value = static_cast<uint32_t>(wide);
  position_ += size;
  return true;
}

bool Cursor::ReadVarint64(uint64_t& value) {
  const size_t size = LoadVarint(bytes_.subspan(position_), 64, value);
  position_ += size;
  return size != 0;
}

bool Cursor::ReadBytes(uint64_t size, Bytes& value) {
  if (size > remaining()) return false;
  value = bytes_.subspan(position_, size);
  position_ += size;
  return true;
}

}  // namespace tensorbundle::format
