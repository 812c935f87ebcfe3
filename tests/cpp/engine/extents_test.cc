#include "engine/extents.h"

#include <gtest/gtest.h>

#include <map>

namespace tensorbundle::engine {
namespace {

struct Case {
  Plan plan;
  std::vector<uint64_t> sizes;
};

Case MakeCase(const std::vector<uint64_t>& sizes, uint32_t num_shards, uint64_t alignment) {
  std::vector<PlanTensor> tensors;
  for (const uint64_t size : sizes) tensors.push_back({size, {}});
  return {*MakePlan(tensors, {num_shards, alignment, 1}), sizes};
}

// Every byte of every tensor lies in exactly one extent that lists the tensor.
void ExpectCovered(const Case& c, const std::vector<Extent>& extents) {
  std::map<uint32_t, uint64_t> covered;  // bytes of each tensor
  std::map<uint32_t, uint64_t> next;     // of each shard: where the next extent begins
  for (const Extent& extent : extents) {
    EXPECT_EQ(extent.begin, next[extent.shard]);
    EXPECT_EQ(extent.begin % kExtentSize, 0u);
    next[extent.shard] = extent.end;
    const auto& order = c.plan.shards[extent.shard].tensors;
    for (uint32_t i = extent.first_tensor; i < extent.end_tensor; ++i) {
      const uint64_t begin = c.plan.placements[order[i]].offset;
      const uint64_t end = begin + c.sizes[order[i]];
      if (begin == end) continue;
      covered[order[i]] += std::min(end, extent.end) - std::max(begin, extent.begin);
    }
  }
  for (uint32_t i = 0; i < c.sizes.size(); ++i) EXPECT_EQ(covered[i], c.sizes[i]) << i;
  for (uint32_t s = 0; s < c.plan.shards.size(); ++s) {
    EXPECT_EQ(next[s], c.plan.shards[s].size);
  }
}

TEST(ExtentsTest, SmallTensorsShareOneExtent) {
  const Case c = MakeCase({10, 20, 0, 30}, 1, 64);
  const auto extents = CutIntoExtents(c.plan, c.sizes);
  ASSERT_EQ(extents.size(), 1u);
  ExpectCovered(c, extents);
}

TEST(ExtentsTest, ABigTensorIsCutAtMultiplesOfTheExtentSize) {
  const Case c = MakeCase({100, 3 * kExtentSize, 100}, 1, 64);
  const auto extents = CutIntoExtents(c.plan, c.sizes);
  EXPECT_EQ(extents.size(), 4u);
  ExpectCovered(c, extents);
}

TEST(ExtentsTest, ShardsTakeTurns) {
  const Case c = MakeCase({2 * kExtentSize, 2 * kExtentSize}, 2, 64);
  const auto extents = CutIntoExtents(c.plan, c.sizes);
  ASSERT_EQ(extents.size(), 4u);
  EXPECT_NE(extents[0].shard, extents[1].shard);
  EXPECT_NE(extents[2].shard, extents[3].shard);
  ExpectCovered(c, extents);
}

TEST(ExtentsTest, FewShardsAreOpenAtATime) {
  const std::vector<uint64_t> sizes(3 * kOpenShards, kExtentSize + 1);
  const Case c = MakeCase(sizes, 3 * kOpenShards, 1);
  const auto extents = CutIntoExtents(c.plan, c.sizes);
  ExpectCovered(c, extents);
  std::map<uint32_t, size_t> left;
  for (const Extent& extent : extents) ++left[extent.shard];
  std::map<uint32_t, bool> open;
  size_t num_open = 0;
  for (const Extent& extent : extents) {
    if (!std::exchange(open[extent.shard], true)) ++num_open;
    EXPECT_LE(num_open, kOpenShards);
    if (--left[extent.shard] == 0) --num_open;
  }
}

TEST(ExtentsTest, AnEmptyShardGetsOneEmptyExtentSoThatItsFileIsMade) {
  const Case c = MakeCase({}, 1, 64);
  const auto extents = CutIntoExtents(c.plan, c.sizes);
  ASSERT_EQ(extents.size(), 1u);
  EXPECT_EQ(extents[0].end, 0u);
}

TEST(ExtentsTest, EmptyTensorsAtABoundaryDoNoHarm) {
  const Case c = MakeCase({kExtentSize, 0, 0, kExtentSize, 0}, 1, 1);
  ExpectCovered(c, CutIntoExtents(c.plan, c.sizes));
}

}  // namespace
}  // namespace tensorbundle::engine
