// CRC-32C by a step that takes 8 bytes, three chains of such steps side by side.
//
// A step starts every cycle or so, but its result takes several: one chain alone
// leaves most of the processor idle.  So a block is cut into three lanes of equal
// size, each with a register of its own, and the registers are put together with
// two carry-less multiplications.
//
// ThreeLanes is the body of all kernels but the AVX-512 one: `Cpu` names the steps
// and lives in an unnamed namespace, which keeps all of this code inside the file
// of the kernel (kernels.h says why).
//
// Threads: all functions are pure.

#pragma once

#include <cstddef>
#include <cstdint>

#include "checksum/polynomial.h"

namespace tensorbundle::checksum {

// Cpu has these static functions, which take and return raw registers:
//   uint64_t Load(const std::byte* first)          8 bytes, the first the lowest
//   uint32_t Word(uint32_t state, uint64_t word)   8 bytes as Load() gives them
//   uint32_t Byte(uint32_t state, std::byte byte)
//   uint64_t Product(uint32_t a, uint32_t b)       without carries, 63 bits
template <typename Cpu>
class ThreeLanes {
 public:
  static uint32_t Extend(uint32_t state, const std::byte* first, size_t size) {
    // Long lanes put together seldom; short ones serve what the long ones leave.
    state = Blocks<kLongLane>(state, first, size);
    state = Blocks<kShortLane>(state, first, size);
    for (; size >= kWord; size -= kWord, first += kWord) {
      state = Cpu::Word(state, Cpu::Load(first));
    }
    for (; size > 0; --size, ++first) state = Cpu::Byte(state, *first);
    return state;
  }

 private:
  static constexpr size_t kWord = 8;
  static constexpr size_t kCacheLine = 64;

  static constexpr size_t kLongLane = 1024;
  static constexpr size_t kShortLane = 128;

  // Three lanes look like three streams that end all the time, and the processor
  // gives up prefetching them: from memory 15 GB/s, and 27 with this (Zen 5).
  static constexpr size_t kPrefetchDistance = 4096;

  static void Prefetch(const std::byte* first, size_t distance) {
    // By integers: the address may lie behind the bytes that we were given.
    __builtin_prefetch(
        reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(first) + distance));
  }

  // Takes whole blocks of three lanes off the front of [first, first + size).
  template <size_t kLane>
  static uint32_t Blocks(uint32_t state, const std::byte*& first, size_t& size) {
    static_assert(kLane % kCacheLine == 0);
    for (; size >= 3 * kLane; size -= 3 * kLane, first += 3 * kLane) {
      uint32_t lane0 = state;
      uint32_t lane1 = 0;
      uint32_t lane2 = 0;
      for (size_t line = 0; line < kLane; line += kCacheLine) {
        if constexpr (kLane == kLongLane) {
          for (size_t k = 0; k < 3; ++k) {
            Prefetch(first, kPrefetchDistance + 3 * line + k * kCacheLine);
          }
        }
        for (size_t i = line; i < line + kCacheLine; i += kWord) {
          lane0 = Cpu::Word(lane0, Cpu::Load(first + i));
          lane1 = Cpu::Word(lane1, Cpu::Load(first + kLane + i));
          lane2 = Cpu::Word(lane2, Cpu::Load(first + 2 * kLane + i));
        }
      }
      // The product of two reflected registers, taken as 8 bytes of message, is
      // a * b * x, and Word() multiplies it by x^32: that makes the 33 below.
      constexpr uint32_t kPastOne = PowerOfX(8 * kLane - 33);
      constexpr uint32_t kPastTwo = PowerOfX(8 * 2 * kLane - 33);
      const uint64_t past = Cpu::Product(lane0, kPastTwo) ^ Cpu::Product(lane1, kPastOne);
      state = lane2 ^ Cpu::Word(0, past);
    }
    return state;
  }
};

}  // namespace tensorbundle::checksum
