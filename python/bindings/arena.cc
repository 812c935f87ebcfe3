#include "bindings/arena.h"

#include "base/alignment.h"
#include "bindings/errors.h"

namespace tensorbundle::bindings {
namespace {

// What TF, JAX and SIMD loads need of an array's address.
constexpr uint64_t kArrayAlignment = 64;  // bytes

constexpr uint64_t kPage = 4096;                // bytes: at least any common granule
constexpr uint64_t kCongruentSize = 64u << 10;  // bytes: the gap costs up to a page

uint64_t PlaceInArena(uint64_t end, const format::Entry& entry) {
  if (entry.size < kCongruentSize || entry.offset % kArrayAlignment != 0) {
    return AlignUp(end, kArrayAlignment);
  }
  return end + (entry.offset - end) % kPage;  // wraps to the right value
}

}  // namespace

std::shared_ptr<io::AlignedBuffer> AllocateArena(std::vector<engine::ReadRequest>& requests) {
  uint64_t size = 0;
  std::vector<uint64_t> offsets(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i].out.empty()) continue;
    // No wrap: CheckRequests() has bounded the sum by a few times the files' sizes.
    offsets[i] = PlaceInArena(size, requests[i].entry);
    size = offsets[i] + requests[i].entry.size;
  }
  auto arena =
      std::make_shared<io::AlignedBuffer>(ValueOrThrow(io::AlignedBuffer::Allocate(size)));
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i].out.empty()) continue;
    requests[i].out = arena->bytes().subspan(offsets[i], requests[i].entry.size);
    requests[i].fresh = true;
  }
  return arena;
}

}  // namespace tensorbundle::bindings
