// POLYVAL for any processor: products of polynomials by tables of 16.

#include <cstring>

#include "checksum/kernels.h"

namespace tensorbundle::checksum {
namespace {

struct Words {
  uint64_t low = 0;
  uint64_t high = 0;
};

Words operator^(const Words& a, const Words& b) { return {a.low ^ b.low, a.high ^ b.high}; }

// The product of two polynomials over GF(2).
Words Multiply(uint64_t a, uint64_t b) {
  Words multiples[16];  // of `a` by each polynomial of four bits
  multiples[1] = {a, 0};
  for (size_t i = 2; i < 16; i += 2) {
    const Words& half = multiples[i / 2];
    multiples[i] = {half.low << 1, half.high << 1 | half.low >> 63};
    multiples[i + 1] = multiples[i] ^ multiples[1];
  }
  Words product;
  for (int shift = 60; shift >= 0; shift -= 4) {
    product = {product.low << 4, product.high << 4 | product.low >> 60};
    product = product ^ multiples[b >> shift & 15];
  }
  return product;
}

// Adds a multiple of the field's polynomial, x^128 + x^127 + x^126 + x^121 + 1, that leaves
// the low word 0, and divides by x^64.  The three terms are x^64 times those of 0xc2 << 56.
Words ReduceOnce(const Words& low) {
  const uint64_t x = low.low;
  return {low.high ^ (x << 63 ^ x << 62 ^ x << 57), x ^ (x >> 1 ^ x >> 2 ^ x >> 7)};
}

}  // namespace

void PolyvalPortable(uint64_t* state, const uint64_t (*powers)[2], const std::byte* first,
                     size_t num_blocks) {
  const uint64_t (&last)[2] = powers[kPolyvalPowers - 1];
  const Words key = {last[0], last[1]};
  Words value = {state[0], state[1]};
  for (; num_blocks > 0; --num_blocks, first += 2 * sizeof(uint64_t)) {
    uint64_t words[2];
    std::memcpy(words, first, sizeof(words));
    value = value ^ Words{words[0], words[1]};
    const Words middle = Multiply(value.low, key.high) ^ Multiply(value.high, key.low);
    Words low = Multiply(value.low, key.low);
    Words high = Multiply(value.high, key.high);
    low.high ^= middle.low;
    high.low ^= middle.high;
    value = high ^ ReduceOnce(ReduceOnce(low));
  }
  state[0] = value.low;
  state[1] = value.high;
}

}  // namespace tensorbundle::checksum
