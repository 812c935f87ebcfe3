#include "checksum/paths.h"

#include "checksum/kernels.h"

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace tensorbundle::checksum {
namespace {

// Unpacks the span here, in a file for every processor: kernels.h says why.
template <ExtendKernel* kKernel>
uint32_t Run(uint32_t state, Bytes bytes) {
  return kKernel(state, bytes.data(), bytes.size());
}

template <PolyvalKernel* kKernel>
void RunPolyval(uint64_t* state, const uint64_t (*powers)[2], Bytes blocks) {
  kKernel(state, powers, blocks.data(), blocks.size() / 16);
}

#if defined(__x86_64__)

// __builtin_cpu_supports() also asks whether the system saves the registers.
bool HasPclmul() { return __builtin_cpu_supports("pclmul") != 0; }

bool HasSse42() { return __builtin_cpu_supports("sse4.2") != 0 && HasPclmul(); }

bool HasAvx512() {
  return HasSse42() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("vpclmulqdq") != 0;
}

#elif defined(__aarch64__)

bool HasArmv8() {
#if defined(__linux__)
  constexpr unsigned long kNeeded = HWCAP_CRC32 | HWCAP_PMULL;
  return (getauxval(AT_HWCAP) & kNeeded) == kNeeded;
#else
  return false;
#endif
}

#endif

}  // namespace

std::vector<CpuPath> AvailablePaths() {
  std::vector<CpuPath> paths = {{"portable", Run<ExtendPortable>}};
#if defined(__x86_64__)
  if (HasSse42()) paths.push_back({"sse4.2", Run<ExtendSse42>});
  if (HasAvx512()) paths.push_back({"avx512-vpclmulqdq", Run<ExtendAvx512>});
#elif defined(__aarch64__)
  if (HasArmv8()) paths.push_back({"armv8", Run<ExtendArmv8>});
#endif
  return paths;
}

std::vector<PolyvalPath> AvailablePolyvalPaths() {
  std::vector<PolyvalPath> paths = {{"portable", RunPolyval<PolyvalPortable>}};
#if defined(__x86_64__)
  if (HasPclmul()) paths.push_back({"pclmul", RunPolyval<PolyvalPclmul>});
  if (HasAvx512()) paths.push_back({"avx512-vpclmulqdq", RunPolyval<PolyvalAvx512>});
#endif
  return paths;
}

StreamCopyKernel* AvailableStreamCopy() {
#if defined(__x86_64__)
  if (HasAvx512()) return StreamCopyAvx512;
#endif
  return nullptr;
}

}  // namespace tensorbundle::checksum
