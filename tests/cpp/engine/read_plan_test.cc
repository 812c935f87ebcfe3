#include "engine/read_plan.h"

#include <gtest/gtest.h>

namespace tensorbundle::engine {
namespace {

TEST(ReadPlanTest, NeighboursAreFetchedByOneRead) {
  const std::vector<ReadRange> ranges = {{0, 128, 10}, {0, 0, 100}, {0, 256, 5}};
  const auto jobs = PlanReads(ranges);
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].begin, 0u);
  EXPECT_EQ(jobs[0].end, 261u);
  EXPECT_EQ(jobs[0].ranges, (std::vector<uint32_t>{1, 0, 2}));
}

TEST(ReadPlanTest, ALargeGapIsNotRead) {
  const std::vector<ReadRange> ranges = {{0, 0, 10}, {0, 10 + kGatherGap + 1, 10}};
  EXPECT_EQ(PlanReads(ranges).size(), 2u);
}

TEST(ReadPlanTest, ShardsAreReadApart) {
  const std::vector<ReadRange> ranges = {{1, 0, 10}, {0, 10, 10}};
  const auto jobs = PlanReads(ranges);
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].shard, 0u);
}

TEST(ReadPlanTest, AGatheringReadFitsItsBuffer) {
  std::vector<ReadRange> ranges;
  for (uint64_t i = 0; i < 40; ++i) ranges.push_back({0, i * 100'000, 100'000});
  uint64_t bytes = 0;
  for (const ReadJob& job : PlanReads(ranges)) {
    EXPECT_LE(job.end - job.begin, kGatherSize);
    bytes += job.end - job.begin;
  }
  EXPECT_EQ(bytes, 4'000'000u);
}

TEST(ReadPlanTest, ALargeTensorIsReadInPartsCutAtMultiplesInTheFile) {
  const std::vector<ReadRange> ranges = {{0, 7, 2 * kPartSize + 1}};
  const auto jobs = PlanReads(ranges);
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[0].begin, 7u);
  EXPECT_EQ(jobs[1].begin, kPartSize);
  EXPECT_EQ(jobs[2].begin, 2 * kPartSize);
  EXPECT_EQ(jobs[2].end, 8 + 2 * kPartSize);
}

TEST(ReadPlanTest, AWholeRangeIsNeverCutNorGathered) {
  const std::vector<ReadRange> ranges = {
      {0, 0, 10}, {0, 10, 3 * kPartSize, true}, {0, 10 + 3 * kPartSize, 10, true}};
  EXPECT_EQ(PlanReads(ranges).size(), 3u);
}

TEST(ReadPlanTest, OverlappingRangesAreEachFetchedWhole) {
  const std::vector<ReadRange> ranges = {{0, 0, 1000}, {0, 10, 20}, {0, 10, 20}};
  const auto jobs = PlanReads(ranges);
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].end, 1000u);
  EXPECT_EQ(jobs[0].ranges.size(), 3u);
}

TEST(ReadPlanTest, RangesWithoutBytesGetNoJob) {
  const std::vector<ReadRange> ranges = {{0, 5, 0}};
  EXPECT_TRUE(PlanReads(ranges).empty());
}

}  // namespace
}  // namespace tensorbundle::engine
