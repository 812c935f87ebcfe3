// libFuzzer's way in.  TENSORBUNDLE_FUZZ_TARGET is one of targets.h.

#include <cstddef>
#include <cstdint>

#include "fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tensorbundle::fuzz;
  TENSORBUNDLE_FUZZ_TARGET({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
