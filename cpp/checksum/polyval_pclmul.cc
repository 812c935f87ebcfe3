// POLYVAL by PCLMULQDQ: eight blocks are multiplied by eight powers of the key and added
// up before they are reduced, as their products do not wait for each other.

#if defined(__x86_64__)

#include <immintrin.h>

#include "checksum/kernels.h"

namespace tensorbundle::checksum {
namespace {

constexpr size_t kBlock = sizeof(__m128i);
constexpr size_t kBlocks = 8;

__m128i Load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

// A product of 256 bits, the middle not yet added to the two ends.
struct Product {
  __m128i low = _mm_setzero_si128();
  __m128i middle = _mm_setzero_si128();
  __m128i high = _mm_setzero_si128();

  void Add(__m128i a, __m128i b) {
    low = _mm_xor_si128(low, _mm_clmulepi64_si128(a, b, 0x00));
    high = _mm_xor_si128(high, _mm_clmulepi64_si128(a, b, 0x11));
    middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(a, b, 0x01));
    middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(a, b, 0x10));
  }

  // As in polyval_portable.cc.
  __m128i Reduced() const {
    const __m128i low_half = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
    const __m128i high_half = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
    return _mm_xor_si128(high_half, ReduceOnce(ReduceOnce(low_half)));
  }

  static __m128i ReduceOnce(__m128i value) {
    const __m128i terms = _mm_set_epi64x(0, static_cast<long long>(0xc200000000000000));
    const __m128i swapped = _mm_shuffle_epi32(value, 0x4e);
    return _mm_xor_si128(swapped, _mm_clmulepi64_si128(value, terms, 0x00));
  }
};

}  // namespace

void PolyvalPclmul(uint64_t* state, const uint64_t (*powers)[2], const std::byte* first,
                   size_t num_blocks) {
  __m128i value = Load(state);
  __m128i keys[kBlocks];  // the highest power first
  for (size_t i = 0; i < kBlocks; ++i) keys[i] = Load(powers[kPolyvalPowers - kBlocks + i]);
  for (; num_blocks >= kBlocks; num_blocks -= kBlocks) {
    Product product;
    product.Add(_mm_xor_si128(value, Load(first)), keys[0]);
    for (size_t i = 1; i < kBlocks; ++i) product.Add(Load(first + i * kBlock), keys[i]);
    value = product.Reduced();
    first += kBlocks * kBlock;
  }
  for (; num_blocks > 0; --num_blocks, first += kBlock) {
    Product product;
    product.Add(_mm_xor_si128(value, Load(first)), keys[kBlocks - 1]);
    value = product.Reduced();
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), value);
}

}  // namespace tensorbundle::checksum

#endif  // defined(__x86_64__)
