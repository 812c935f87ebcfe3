// The implementations of Extend(), and of Fingerprinter, one per kind of processor.
//
// For dispatch (crc32c.cc), for tests, which hold each of them against the same
// vectors, and for benchmarks.  Everybody else includes checksum/crc32c.h.

#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace tensorbundle::checksum {

// Takes and returns the raw register: not inverted at either end, that is, the
// complement of Crc32c::value().
using ExtendFunction = uint32_t (*)(uint32_t state, Bytes bytes);

struct CpuPath {
  std::string_view name;  // "portable", "sse4.2", "avx512-vpclmulqdq", "armv8"
  ExtendFunction extend;
};

// The paths that this processor and this build can run, slowest first; never
// empty, since "portable" runs everywhere.
std::vector<CpuPath> AvailablePaths();

// Extends the two words of a POLYVAL state by whole blocks of 16 bytes, as
// checksum/kernels.h says.
using PolyvalFunction = void (*)(uint64_t* state, const uint64_t (*powers)[2], Bytes blocks);

struct PolyvalPath {
  std::string_view name;  // "portable", "pclmul", "avx512-vpclmulqdq"
  PolyvalFunction extend;
};

// As AvailablePaths().
std::vector<PolyvalPath> AvailablePolyvalPaths();

}  // namespace tensorbundle::checksum
