// CRC-32C by the CRC32CX and PMULL instructions of ARMv8-A.

#if defined(__aarch64__)

#include <arm_acle.h>
#include <arm_neon.h>

#include <cstring>

#include "checksum/kernels.h"
#include "checksum/three_lanes.h"

namespace tensorbundle::checksum {
namespace {

struct Armv8 {
  static uint64_t Load(const std::byte* first) {
    uint64_t word;
    std::memcpy(&word, first, sizeof(word));
    return word;
  }
  static uint32_t Word(uint32_t state, uint64_t word) { return __crc32cd(state, word); }
  static uint32_t Byte(uint32_t state, std::byte byte) {
    return __crc32cb(state, static_cast<uint8_t>(byte));
  }
  static uint64_t Product(uint32_t a, uint32_t b) {
    return vgetq_lane_u64(vreinterpretq_u64_p128(vmull_p64(a, b)), 0);
  }
};

}  // namespace

uint32_t ExtendArmv8(uint32_t state, const std::byte* first, size_t size) {
  return ThreeLanes<Armv8>::Extend(state, first, size);
}

}  // namespace tensorbundle::checksum

#endif  // defined(__aarch64__)
