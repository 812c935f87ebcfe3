#include "engine/extents.h"

#include <algorithm>

#include "base/alignment.h"

namespace tensorbundle::engine {
namespace {

std::vector<Extent> CutShard(const Plan& plan, uint32_t shard,
                             std::span<const uint64_t> sizes) {
  const std::vector<uint32_t>& tensors = plan.shards[shard].tensors;
  const auto begin_of = [&](uint32_t i) { return plan.placements[tensors[i]].offset; };
  const auto end_of = [&](uint32_t i) { return begin_of(i) + sizes[tensors[i]]; };
  const auto count = static_cast<uint32_t>(tensors.size());

  std::vector<Extent> extents;
  uint32_t first = 0;
  uint64_t begin = plan.shards[shard].begin;
  do {
    const uint64_t cut = AlignDown(begin, kExtentSize) + kExtentSize;
    const uint64_t end = std::min(cut, plan.shards[shard].size);
    while (first < count && end_of(first) <= begin) ++first;
    uint32_t last = first;
    while (last < count && begin_of(last) < end) ++last;
    extents.push_back({shard, begin, end, first, last});
    begin = end;
  } while (begin < plan.shards[shard].size);
  return extents;
}

}  // namespace

std::vector<Extent> CutIntoExtents(const Plan& plan, std::span<const uint64_t> sizes) {
  const auto num_shards = static_cast<uint32_t>(plan.shards.size());
  std::vector<Extent> extents;
  for (uint32_t group = 0; group < num_shards; group += kOpenShards) {
    std::vector<std::vector<Extent>> by_shard;
    size_t longest = 0;
    for (uint32_t i = group; i < std::min(group + kOpenShards, num_shards); ++i) {
      by_shard.push_back(CutShard(plan, i, sizes));
      longest = std::max(longest, by_shard.back().size());
    }
    for (size_t i = 0; i < longest; ++i) {
      for (const std::vector<Extent>& of_shard : by_shard) {
        if (i < of_shard.size()) extents.push_back(of_shard[i]);
      }
    }
  }
  return extents;
}

}  // namespace tensorbundle::engine
