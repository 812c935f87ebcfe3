// CRC-32C by tables, 8 bytes a step, for any processor.
//
// Table k holds the register after one byte and k zero bytes behind it.  The eight
// bytes of a step are then independent of each other: eight look-ups, joined by
// exclusive or, because the CRC is linear.

#include "checksum/kernels.h"
#include "checksum/polynomial.h"
#include "checksum/three_lanes.h"

namespace tensorbundle::checksum {
namespace {

constexpr size_t kStep = 8;

struct Tables {
  uint32_t of[kStep][256];
};

consteval Tables MakeTables() {
  Tables tables = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) state = TimesX(state);
    tables.of[0][byte] = state;
  }
  for (size_t k = 1; k < kStep; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t shorter = tables.of[k - 1][byte];
      tables.of[k][byte] = (shorter >> 8) ^ tables.of[0][shorter & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

struct Portable {
  // Little-endian on every processor; compilers make one load of it where they can.
  static uint64_t Load(const std::byte* first) {
    uint64_t word = 0;
    for (size_t i = 0; i < kStep; ++i) word |= std::to_integer<uint64_t>(first[i]) << (8 * i);
    return word;
  }
  static uint32_t Word(uint32_t state, uint64_t word) {
    const auto& table = kTables.of;
    word ^= state;
    return (table[7][word & 0xff] ^ table[6][word >> 8 & 0xff]) ^
           (table[5][word >> 16 & 0xff] ^ table[4][word >> 24 & 0xff]) ^
           (table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff]) ^
           (table[1][word >> 48 & 0xff] ^ table[0][word >> 56]);
  }
  static uint32_t Byte(uint32_t state, std::byte byte) {
    return (state >> 8) ^ kTables.of[0][(state ^ std::to_integer<uint32_t>(byte)) & 0xff];
  }
  static uint64_t Product(uint32_t a, uint32_t b) {
    uint64_t product = 0;
    for (int bit = 0; bit < 32; ++bit) product ^= (uint64_t{b} << bit) * (a >> bit & 1);
    return product;
  }
};

}  // namespace

uint32_t ExtendPortable(uint32_t state, const std::byte* first, size_t size) {
  return ThreeLanes<Portable>::Extend(state, first, size);
}

}  // namespace tensorbundle::checksum
