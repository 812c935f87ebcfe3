#include "engine/sharing.h"

#include <algorithm>

namespace tensorbundle::engine {
namespace {

bool LiesWithin(const Candidate& candidate, std::optional<uint64_t> file_size,
                uint64_t alignment) {
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): the callers have asked
  const uint64_t offset = candidate.stored->offset;
  return file_size.has_value() && offset % alignment == 0 && offset <= *file_size &&
         candidate.size <= *file_size - offset;
}

void KeepLargest(std::span<const uint64_t> live, std::vector<SharedShard>& shared) {
  if (shared.size() <= kMaxSharedShards) return;
  const auto by_number = [](const SharedShard& a, const SharedShard& b) {
    return a.number < b.number;
  };
  std::stable_sort(shared.begin(), shared.end(),
                   [&](const SharedShard& a, const SharedShard& b) {
                     return live[a.number] > live[b.number];
                   });
  shared.resize(kMaxSharedShards);
  std::sort(shared.begin(), shared.end(), by_number);
}

}  // namespace

std::vector<SharedShard> ChooseShared(std::span<Candidate> candidates,
                                      std::span<const std::optional<uint64_t>> file_sizes,
                                      uint64_t alignment) {
  std::vector<uint64_t> live(file_sizes.size());  // bytes
  for (Candidate& candidate : candidates) {
    if (!candidate.stored.has_value()) continue;
    const uint32_t shard = candidate.stored->shard;
    if (LiesWithin(candidate, file_sizes[shard], alignment)) {
      live[shard] += candidate.size;
    } else {
      candidate.stored.reset();
    }
  }
  std::vector<SharedShard> shared;
  for (uint32_t shard = 0; shard < live.size(); ++shard) {
    if (live[shard] == 0) continue;
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): a tensor lies within it
    const uint64_t size = *file_sizes[shard];
    // Tensors may share bytes: not subtracted without a look.
    const uint64_t dead = size - std::min(size, live[shard]);
    if (dead <= live[shard]) shared.push_back({shard, size});
  }
  KeepLargest(live, shared);
  std::vector<bool> is_shared(file_sizes.size());
  for (const SharedShard& shard : shared) is_shared[shard.number] = true;
  for (Candidate& candidate : candidates) {
    if (candidate.stored.has_value() && !is_shared[candidate.stored->shard]) {
      candidate.stored.reset();
    }
  }
  return shared;
}

}  // namespace tensorbundle::engine
