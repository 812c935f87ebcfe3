#include "engine/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "format/naming.h"

namespace tensorbundle::engine {
namespace {

std::vector<PlanTensor> OfSizes(std::initializer_list<uint64_t> sizes) {
  std::vector<PlanTensor> tensors;
  for (const uint64_t size : sizes) tensors.push_back({size, {}});
  return tensors;
}

PlanOptions Options(uint32_t num_shards, uint64_t alignment, uint64_t granule = 1) {
  return {num_shards, alignment, granule};
}

TEST(PlanTest, AlignmentOneInOneShardPacksInTheGivenOrder) {
  const auto plan = MakePlan(OfSizes({5, 0, 7, 1}), Options(1, 1));
  ASSERT_TRUE(plan.ok());
  const std::vector<Placement> expected = {{0, 0}, {0, 5}, {0, 5}, {0, 12}};
  EXPECT_EQ(plan->placements, expected);
  EXPECT_EQ(plan->shards[0].size, 13u);
  EXPECT_EQ(plan->shards[0].tensors, (std::vector<uint32_t>{0, 1, 2, 3}));
}

TEST(PlanTest, EveryTensorStartsAtAMultipleOfTheAlignment) {
  const auto plan = MakePlan(OfSizes({5, 64, 1}), Options(1, 64));
  ASSERT_TRUE(plan.ok());
  const std::vector<Placement> expected = {{0, 0}, {0, 64}, {0, 128}};
  EXPECT_EQ(plan->placements, expected);
  EXPECT_EQ(plan->shards[0].size, 129u);  // no padding after the last
}

TEST(PlanTest, ShardsAreWithinOneTensorOfEachOther) {
  std::mt19937_64 random(7);
  std::vector<PlanTensor> tensors(500);
  uint64_t largest = 0;
  for (PlanTensor& tensor : tensors) {
    tensor.size = random() % 1000 + 1;
    largest = std::max(largest, tensor.size);
  }
  const auto plan = MakePlan(tensors, Options(7, 1));
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->shards.size(), 7u);
  const auto [least, most] = std::minmax_element(
      plan->shards.begin(), plan->shards.end(),
      [](const PlannedShard& a, const PlannedShard& b) { return a.size < b.size; });
  EXPECT_LE(most->size - least->size, largest);
}

TEST(PlanTest, TensorsDoNotOverlapAndEveryOneIsInItsShard) {
  std::mt19937_64 random(8);
  std::vector<PlanTensor> tensors(300);
  for (PlanTensor& tensor : tensors) tensor.size = random() % 300;
  const auto plan = MakePlan(tensors, Options(3, 32));
  ASSERT_TRUE(plan.ok());
  size_t seen = 0;
  for (uint32_t s = 0; s < plan->shards.size(); ++s) {
    uint64_t end = 0;
    for (const uint32_t i : plan->shards[s].tensors) {
      EXPECT_EQ(plan->placements[i].shard, s);
      EXPECT_GE(plan->placements[i].offset, end);
      end = plan->placements[i].offset + tensors[i].size;
      ++seen;
    }
    EXPECT_EQ(plan->shards[s].size, end);
  }
  EXPECT_EQ(seen, tensors.size());
}

TEST(PlanTest, NoMoreShardsThanTensorsWithBytes) {
  EXPECT_EQ(MakePlan(OfSizes({0, 9, 0, 9}), Options(5, 64))->shards.size(), 2u);
}

TEST(PlanTest, NoTensorsGiveOneEmptyShard) {
  const auto plan = MakePlan({}, Options(4, 64));
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->shards.size(), 1u);
  EXPECT_EQ(plan->shards[0].size, 0u);
}

TEST(PlanTest, AnAddressResidueIsKeptModuloTheGranule) {
  std::vector<PlanTensor> tensors = {{100, 64}, {100, 448}, {100, 0}, {100, std::nullopt}};
  const auto plan = MakePlan(tensors, Options(1, 64, 512));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->placements[0].offset, 64u);
  EXPECT_EQ(plan->placements[1].offset, 448u);
  EXPECT_EQ(plan->placements[2].offset, 1024u);
  EXPECT_EQ(plan->placements[3].offset, 1152u);  // only aligned
}

TEST(PlanTest, AlignmentOneStaysDenseWhateverTheAddresses) {
  const std::vector<PlanTensor> tensors = {{100, 64}, {100, 448}};
  const auto plan = MakePlan(tensors, Options(1, 1, 512));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->placements[1].offset, 100u);
}

TEST(PlanTest, AResidueThatBreaksTheAlignmentIsIgnored) {
  const std::vector<PlanTensor> tensors = {{100, 16}, {100, 16}};
  const auto plan = MakePlan(tensors, Options(1, 64, 512));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->placements[0].offset, 0u);
  EXPECT_EQ(plan->placements[1].offset, 128u);
}

TEST(PlanTest, OptionsOutOfRangeAreRefused) {
  const auto tensors = OfSizes({1});
  for (const PlanOptions& bad :
       {Options(0, 64), Options(format::kMaxShards + 1, 64), Options(1, 0), Options(1, 48),
        Options(1, kMaxAlignment * 2)}) {
    EXPECT_EQ(MakePlan(tensors, bad).status().code(), Code::kInvalidArgument);
  }
}

TEST(PlanTest, AShardBeyondTwoToThe63IsRefused) {
  const auto tensors = OfSizes({uint64_t{1} << 62, uint64_t{1} << 62});
  EXPECT_EQ(MakePlan(tensors, Options(1, 1)).status().code(), Code::kLimitExceeded);
  EXPECT_EQ(MakePlan(OfSizes({UINT64_MAX, 2}), Options(1, 1)).status().code(),
            Code::kLimitExceeded);
}

TEST(PlanTest, TensorsOfTwoGroupsAreInNoCommonShardAndOthersInNone) {
  const std::vector<PlanTensor> tensors = {{100, {}, Group::kSteady},
                                           {200, {}, Group::kChanging},
                                           {300, {}, Group::kElsewhere},
                                           {400, {}, Group::kSteady},
                                           {500, {}, Group::kSteady}};
  PlanOptions options;
  options.num_shards = 2;
  const auto plan = MakePlan(tensors, options);
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->shards.size(), 3u);
  EXPECT_EQ(plan->shards[0].tensors, std::vector<uint32_t>{1});
  EXPECT_EQ(plan->placements[4].shard, 1u);
  EXPECT_EQ(plan->placements[3].shard, 2u);
  EXPECT_EQ(plan->shards[2].tensors, (std::vector<uint32_t>{0, 3}));
}

TEST(PlanTest, WhereAllTensorsAreElsewhereThereAreNoShards) {
  const std::vector<PlanTensor> tensors = {{300, {}, Group::kElsewhere}};
  EXPECT_TRUE(MakePlan(tensors, {})->shards.empty());
  EXPECT_EQ(MakePlan({}, {})->shards.size(), 1u);
}

}  // namespace
}  // namespace tensorbundle::engine
