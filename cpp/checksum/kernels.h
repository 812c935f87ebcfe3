// The kernels behind checksum/paths.h, for paths.cc and for each other.
//
// A kernel's file is compiled with instructions that the processor may lack, so
// nothing in it may be shared with other files: an inline function of a header
// that it calls might be emitted there with those instructions, and the linker
// might keep that copy for everybody.  Hence plain pointers instead of Bytes, no
// library templates, and helpers without linkage.
//
// Each of a CRC takes and returns the raw register, as ExtendFunction does.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tensorbundle::checksum {

using ExtendKernel = uint32_t(uint32_t state, const std::byte* first, size_t size);

// Copies [from, from + size) to `to`, past the caches, and returns the register after
// the bytes that were stored: each is loaded once.
//
// REQUIRES: `to` is a multiple of kStreamCopyAlignment; `size` is one of
//           kStreamCopyGranule and not 0; the two do not overlap
using StreamCopyKernel = uint32_t(uint32_t state, std::byte* to, const std::byte* from,
                                  size_t size);
inline constexpr size_t kStreamCopyAlignment = 64;
inline constexpr size_t kStreamCopyGranule = 256;

// POLYVAL (RFC 8452, section 3) of whole blocks of 16 bytes: `state`, two words, the low one
// first, becomes what it is after them.  `powers` has kPolyvalPowers powers of the key, the
// highest first, the key last; the portable kernel looks at the key only.
using PolyvalKernel = void(uint64_t* state, const uint64_t (*powers)[2],
                           const std::byte* first, size_t num_blocks);
inline constexpr size_t kPolyvalPowers = 32;

ExtendKernel ExtendPortable;
PolyvalKernel PolyvalPortable;

#if defined(__x86_64__)
ExtendKernel ExtendSse42;           // REQUIRES: SSE4.2, PCLMULQDQ
ExtendKernel ExtendAvx512;          // REQUIRES: the same, AVX512F, VPCLMULQDQ
StreamCopyKernel StreamCopyAvx512;  // REQUIRES: what ExtendAvx512 does
PolyvalKernel PolyvalPclmul;        // REQUIRES: PCLMULQDQ
PolyvalKernel PolyvalAvx512;        // REQUIRES: the same, AVX512F, VPCLMULQDQ
#elif defined(__aarch64__)
ExtendKernel ExtendArmv8;  // REQUIRES: CRC32, PMULL
#endif

// The one that this processor can run, or null.
StreamCopyKernel* AvailableStreamCopy();

}  // namespace tensorbundle::checksum
