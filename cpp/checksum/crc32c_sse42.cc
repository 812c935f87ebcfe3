// CRC-32C by the CRC32 instruction of SSE4.2 and PCLMULQDQ.

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "checksum/kernels.h"
#include "checksum/three_lanes.h"

namespace tensorbundle::checksum {
namespace {

struct Sse42 {
  static uint64_t Load(const std::byte* first) {
    uint64_t word;
    std::memcpy(&word, first, sizeof(word));
    return word;
  }
  static uint32_t Word(uint32_t state, uint64_t word) {
    return static_cast<uint32_t>(_mm_crc32_u64(state, word));
  }
  static uint32_t Byte(uint32_t state, std::byte byte) {
    return _mm_crc32_u8(state, static_cast<uint8_t>(byte));
  }
  static uint64_t Product(uint32_t a, uint32_t b) {
    const __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128(a), _mm_cvtsi64_si128(b), 0x00);
    return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
  }
};

}  // namespace

uint32_t ExtendSse42(uint32_t state, const std::byte* first, size_t size) {
  return ThreeLanes<Sse42>::Extend(state, first, size);
}

}  // namespace tensorbundle::checksum

#endif  // defined(__x86_64__)
