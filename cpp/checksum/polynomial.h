// Polynomials over GF(2) modulo P, the polynomial of CRC-32C.
//
// A polynomial of degree below 32 is a uint32_t in reflected order, as a CRC
// register holds it: bit 31 is the coefficient of x^0, bit 0 that of x^31.
//
// What a CRC is, in these terms: a message of n bits, M, takes the register from
// s to (s * x^n + M * x^32) mod P.  Everything in this layer follows from that.
//
// Threads: all functions are pure.

#pragma once

#include <cstdint>

namespace tensorbundle::checksum {

// P without its x^32.  RFC 3720, 12.1 writes it 0x11edc6f41; reflected here.
inline constexpr uint32_t kPolynomial = 0x82f63b78U;

inline constexpr uint32_t kOne = 0x80000000U;  // x^0

// a * x mod P.
constexpr uint32_t TimesX(uint32_t a) { return (a >> 1) ^ ((a & 1) != 0 ? kPolynomial : 0); }

// a * b mod P.
constexpr uint32_t Multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = TimesX(b);
  }
  return product;
}

// x^exponent mod P.  Called for constants only, so that the compiler evaluates it and
// leaves no code of it in the kernels' object files.
constexpr uint32_t PowerOfX(uint64_t exponent) {
  uint32_t power = kOne;
  for (uint32_t square = TimesX(kOne); exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) power = Multiply(power, square);
    square = Multiply(square, square);
  }
  return power;
}

}  // namespace tensorbundle::checksum
