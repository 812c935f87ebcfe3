// POLYVAL by VPCLMULQDQ: four blocks at a time, each with its own power of the key, and
// thirty-two before they are reduced.

#if defined(__x86_64__)

#include <immintrin.h>

#include "checksum/kernels.h"

namespace tensorbundle::checksum {
namespace {

constexpr size_t kVector = sizeof(__m512i);
constexpr size_t kVectors = 8;
constexpr size_t kBlocks = kVectors * kVector / sizeof(__m128i);
static_assert(kBlocks == kPolyvalPowers);

constexpr size_t kPrefetchDistance = 4096;  // bytes; as in crc32c_avx512.cc

__m128i SumOfLanes(__m512i value) {
  // With masks, as GCC 12 warns of what it leaves undefined in those without.
  const __m256i half = _mm256_xor_si256(_mm512_maskz_extracti64x4_epi64(0xff, value, 0),
                                        _mm512_maskz_extracti64x4_epi64(0xff, value, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// As in polyval_portable.cc.
__m128i ReduceOnce(__m128i value) {
  const __m128i terms = _mm_set_epi64x(0, static_cast<long long>(0xc200000000000000));
  const __m128i swapped = _mm_shuffle_epi32(value, 0x4e);
  return _mm_xor_si128(swapped, _mm_clmulepi64_si128(value, terms, 0x00));
}

__m128i ExtendByStride(__m128i value, const uint64_t (*powers)[2], const std::byte* first) {
  constexpr int kXor3 = 0x96;  // a ^ b ^ c
  __m512i low = _mm512_setzero_si512();
  __m512i middle = low;
  __m512i high = low;
  __m512i before = _mm512_zextsi128_si512(value);  // added to the first block
  for (size_t i = 0; i < kVectors; ++i) {
    const std::byte* const from = first + i * kVector;
    _mm_prefetch(reinterpret_cast<const char*>(from + kPrefetchDistance), _MM_HINT_T0);
    const __m512i blocks = _mm512_xor_si512(_mm512_loadu_si512(from), before);
    const __m512i keys = _mm512_loadu_si512(powers[4 * i]);
    low = _mm512_xor_si512(low, _mm512_clmulepi64_epi128(blocks, keys, 0x00));
    high = _mm512_xor_si512(high, _mm512_clmulepi64_epi128(blocks, keys, 0x11));
    middle = _mm512_ternarylogic_epi64(middle, _mm512_clmulepi64_epi128(blocks, keys, 0x01),
                                       _mm512_clmulepi64_epi128(blocks, keys, 0x10), kXor3);
    before = _mm512_setzero_si512();
  }
  const __m128i sum = SumOfLanes(middle);
  const __m128i low_half = _mm_xor_si128(SumOfLanes(low), _mm_slli_si128(sum, 8));
  const __m128i high_half = _mm_xor_si128(SumOfLanes(high), _mm_srli_si128(sum, 8));
  return _mm_xor_si128(high_half, ReduceOnce(ReduceOnce(low_half)));
}

}  // namespace

void PolyvalAvx512(uint64_t* state, const uint64_t (*powers)[2], const std::byte* first,
                   size_t num_blocks) {
  __m128i value = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state));
  for (; num_blocks >= kBlocks; num_blocks -= kBlocks) {
    value = ExtendByStride(value, powers, first);
    first += kVectors * kVector;
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), value);
  PolyvalPclmul(state, powers, first, num_blocks);
}

}  // namespace tensorbundle::checksum

#endif  // defined(__x86_64__)
