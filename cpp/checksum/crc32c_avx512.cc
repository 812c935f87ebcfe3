// CRC-32C by folding with VPCLMULQDQ, while the CRC32 instruction works beside it.
//
// Folding: 16 bytes of message that lie D bits ahead of another 16 are replaced by
// a value that is congruent to them times x^D, added to those.  With `a` the first
// 8 bytes (the low half of a register) and `b` the last,
//     (a * x^64 + b) * x^D = a * x^(64 + D) + b * x^D,
// so one fold is two products: with x^(64 + D) mod P and with x^D mod P.
//
// The vector unit and the CRC32 unit work at the same time.  A block therefore has
// a part for each, in the ratio of their speeds:
//     kSteps strides of 256 bytes, folded into four registers of 64 bytes; then
//     three lanes of kSteps * kLaneWords * 8 bytes, as in three_lanes.h.
// At its end the folded registers jump over the lanes into the next block, which
// costs no more than any other fold, and the register that the lanes leave is added
// to the first four bytes there, which is how a register enters a message.
//
// Blocks are small because the prefetcher of the processor then sees one stream.

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "checksum/kernels.h"
#include "checksum/polynomial.h"

namespace tensorbundle::checksum {
namespace {

constexpr size_t kVector = 64;
constexpr size_t kStride = 4 * kVector;
constexpr size_t kSteps = 4;
// In cache, against ISA-L's crc32_iscsi on Zen 5: 4 words 1.27 times, 5 1.38, 6 1.46,
// 7 1.51.  Intel's published timings have folding twice as fast there and CRC32 not:
// with more than 5 it would wait for the lanes.
constexpr size_t kLaneWords = 5;
constexpr size_t kLane = kSteps * kLaneWords * sizeof(uint64_t);
constexpr size_t kLanesOffset = kSteps * kStride;
constexpr size_t kBlock = kLanesOffset + 3 * kLane;

// From memory: 0.85 of crc32_iscsi without, 1.0 with any distance from 2 to 8 KiB.
constexpr size_t kPrefetchDistance = 4096;
constexpr size_t kCacheLine = 64;

// x^exponent mod P as a factor of 64 bits.  The product of two reflected polynomials
// of 64 bits, taken as 128 reflected bits, is a * b * x: hence the - 1.
constexpr long long Factor(size_t exponent) {
  return static_cast<long long>(uint64_t{PowerOfX(exponent - 1)} << 32);
}

// The factors that fold each 16 bytes of a register to those `kBytes` behind.
template <size_t kBytes>
__m512i Ahead() {
  constexpr long long kLow = Factor(8 * kBytes + 64);
  constexpr long long kHigh = Factor(8 * kBytes);
  return _mm512_set_epi64(kHigh, kLow, kHigh, kLow, kHigh, kLow, kHigh, kLow);
}

__m512i Fold(__m512i from, __m512i factors, __m512i to) {
  const __m512i low = _mm512_clmulepi64_epi128(from, factors, 0x00);
  const __m512i high = _mm512_clmulepi64_epi128(from, factors, 0x11);
  return _mm512_ternarylogic_epi64(low, high, to, 0x96);  // low ^ high ^ to
}

__m512i LoadVector(const std::byte* first) { return _mm512_loadu_si512(first); }

uint64_t LoadWord(const std::byte* first) {
  uint64_t word;
  std::memcpy(&word, first, sizeof(word));
  return word;
}

void Prefetch(const std::byte* first, size_t distance) {
  // By integers: the address may lie behind the bytes that we were given.
  __builtin_prefetch(
      reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(first) + distance));
}

struct Folded {
  __m512i v0, v1, v2, v3;
};

struct Lanes {
  uint64_t lane0 = 0;
  uint64_t lane1 = 0;
  uint64_t lane2 = 0;
};

Folded LoadStride(const std::byte* first) {
  return {LoadVector(first), LoadVector(first + kVector), LoadVector(first + 2 * kVector),
          LoadVector(first + 3 * kVector)};
}

void FoldStride(Folded& f, __m512i factors, const Folded& next) {
  f.v0 = Fold(f.v0, factors, next.v0);
  f.v1 = Fold(f.v1, factors, next.v1);
  f.v2 = Fold(f.v2, factors, next.v2);
  f.v3 = Fold(f.v3, factors, next.v3);
}

// Adds a register to the message whose first bytes are in f.v0.
void Enter(Folded& f, uint32_t state) {
  const __m128i low = _mm_cvtsi32_si128(static_cast<int>(state));
  f.v0 = _mm512_xor_si512(f.v0, _mm512_zextsi128_si512(low));
}

// Step `kStep` of the block at `block`: the lanes' words, and the stride unless it is
// the first, which Blocks() has folded already.
template <size_t kStep>
void Step(Folded& f, Lanes& l, __m512i factors, const std::byte* block) {
  // Every line of the block kPrefetchDistance ahead, in order.
  constexpr size_t kLines = (kBlock + kCacheLine - 1) / kCacheLine;
  for (size_t line = kStep * kLines / kSteps; line < (kStep + 1) * kLines / kSteps; ++line) {
    Prefetch(block, kPrefetchDistance + line * kCacheLine);
  }
  if constexpr (kStep > 0) FoldStride(f, factors, LoadStride(block + kStep * kStride));
  const std::byte* words = block + kLanesOffset + kStep * kLaneWords * sizeof(uint64_t);
  for (size_t i = 0; i < kLaneWords; ++i, words += sizeof(uint64_t)) {
    l.lane0 = _mm_crc32_u64(l.lane0, LoadWord(words));
    l.lane1 = _mm_crc32_u64(l.lane1, LoadWord(words + kLane));
    l.lane2 = _mm_crc32_u64(l.lane2, LoadWord(words + 2 * kLane));
  }
}

__m128i Product(uint64_t a, uint32_t b) {
  return _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(a)),
                              _mm_cvtsi64_si128(b), 0x00);
}

// The register after all three lanes; three_lanes.h explains the 33.
uint32_t Join(const Lanes& l) {
  constexpr uint32_t kPastOne = PowerOfX(8 * kLane - 33);
  constexpr uint32_t kPastTwo = PowerOfX(8 * 2 * kLane - 33);
  const __m128i past = _mm_xor_si128(Product(l.lane0, kPastTwo), Product(l.lane1, kPastOne));
  const uint64_t word = static_cast<uint64_t>(_mm_cvtsi128_si64(past));
  return static_cast<uint32_t>(l.lane2 ^ _mm_crc32_u64(0, word));
}

// Takes blocks off the front of [first, first + size) as long as a stride is left
// behind them.  `f` holds the first stride of the message, before and after.
void Blocks(Folded& f, const std::byte*& first, size_t& size) {
  const __m512i near = Ahead<kStride>();
  const __m512i across = Ahead<kStride + 3 * kLane>();
  while (size >= kBlock + kStride) {
    Lanes lanes;
    Step<0>(f, lanes, near, first);
    Step<1>(f, lanes, near, first);
    Step<2>(f, lanes, near, first);
    Step<3>(f, lanes, near, first);
    static_assert(kSteps == 4);
    first += kBlock;
    size -= kBlock;
    FoldStride(f, across, LoadStride(first));
    Enter(f, Join(lanes));
  }
}

// The register after the 64 bytes in `v` that end a message.
uint32_t Reduce(__m512i v) {
  // The first three 16 bytes to the place of the last, which stays as it is.
  constexpr long long k48[2] = {Factor(8 * 48), Factor(8 * 48 + 64)};
  constexpr long long k32[2] = {Factor(8 * 32), Factor(8 * 32 + 64)};
  constexpr long long k16[2] = {Factor(8 * 16), Factor(8 * 16 + 64)};
  const __m512i factors =
      _mm512_set_epi64(0, 0, k16[0], k16[1], k32[0], k32[1], k48[0], k48[1]);
  const __m512i sums = Fold(v, factors, _mm512_maskz_mov_epi64(0xc0, v));
  // maskz: g++ 12 warns of its own headers' undefined value in the plain form.
  const __m256i pair = _mm256_xor_si256(_mm512_maskz_extracti64x4_epi64(0xf, sums, 0),
                                        _mm512_maskz_extracti64x4_epi64(0xf, sums, 1));
  const __m128i sum =
      _mm_xor_si128(_mm256_castsi256_si128(pair), _mm256_extracti128_si256(pair, 1));
  const uint64_t state = _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(sum)));
  return static_cast<uint32_t>(
      _mm_crc32_u64(state, static_cast<uint64_t>(_mm_extract_epi64(sum, 1))));
}

// The last 64 bytes of a message that ends with the stride in `f`.
__m512i Narrow(const Folded& f) {
  // Side by side rather than v0 into v1 into v2 into v3: short messages wait for it.
  const __m512i v0_into_v3 = Fold(f.v0, Ahead<3 * kVector>(), f.v3);
  return Fold(f.v2, Ahead<kVector>(), Fold(f.v1, Ahead<2 * kVector>(), v0_into_v3));
}

void StreamStride(std::byte* to, const Folded& f) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), f.v0);
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to + kVector), f.v1);
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to + 2 * kVector), f.v2);
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to + 3 * kVector), f.v3);
}

}  // namespace

uint32_t ExtendAvx512(uint32_t state, const std::byte* first, size_t size) {
  if (size < kStride) return ExtendSse42(state, first, size);
  Folded f = LoadStride(first);
  Enter(f, state);
  Blocks(f, first, size);
  const __m512i near = Ahead<kStride>();
  for (size -= kStride, first += kStride; size >= kStride; size -= kStride, first += kStride) {
    FoldStride(f, near, LoadStride(first));
  }
  const __m512i next = Ahead<kVector>();
  __m512i v = Narrow(f);
  for (; size >= kVector; size -= kVector, first += kVector) {
    v = Fold(v, next, LoadVector(first));
  }
  return ExtendSse42(Reduce(v), first, size);
}

uint32_t StreamCopyAvx512(uint32_t state, std::byte* to, const std::byte* from, size_t size) {
  static_assert(kStride == kStreamCopyGranule);
  // No lanes here: folding alone is faster than memory.
  const __m512i near = Ahead<kStride>();
  Folded f = LoadStride(from);
  StreamStride(to, f);
  Enter(f, state);
  for (size_t i = kStride; i < size; i += kStride) {
    const Folded next = LoadStride(from + i);
    StreamStride(to + i, next);
    FoldStride(f, near, next);
  }
  _mm_sfence();  // streaming stores are not ordered with those that publish the copy
  return Reduce(Narrow(f));
}

}  // namespace tensorbundle::checksum

#endif  // defined(__x86_64__)
