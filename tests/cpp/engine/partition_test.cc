#include "engine/partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

#include "engine/random_boxes.h"

namespace tensorbundle::engine {
namespace {

using format::Extent;
using format::Shape;
using format::Slice;

std::vector<Slice> SlicesOf(const std::vector<Box>& boxes, const Shape& shape) {
  std::vector<Slice> slices;
  for (const Box& box : boxes) slices.push_back(*SliceOf(box, shape));
  return slices;
}

Code CodeOf(const Shape& shape, const std::vector<Slice>& parts,
            Coverage coverage = Coverage::kFull) {
  return CheckParts(shape, parts, coverage).code();
}

TEST(PartitionTest, RandomPartitionsAreAcceptedInAnyOrder) {
  std::mt19937 random(1);
  const Shape shapes[] = {{}, {1}, {30}, {7, 9}, {5, 4, 6}, {2, 3, 2, 3, 2, 3, 2, 3, 2, 2}};
  for (const Shape& shape : shapes) {
    for (int i = 0; i < 50; ++i) {
      const auto slices = SlicesOf(Partition(shape, 1 + random() % 40, random), shape);
      EXPECT_TRUE(CheckParts(shape, slices, Coverage::kFull).ok());
      PartSet set(shape);
      for (const Slice& slice : slices) EXPECT_TRUE(set.Add(slice).ok());
      EXPECT_TRUE(set.CheckCoverage().ok());
      EXPECT_EQ(set.slices(), slices);
    }
  }
}

TEST(PartitionTest, AMissingPartIsAGapUnlessTheRestIsElsewhere) {
  const std::vector<Slice> rows = {{{0, 2}, {}}, {{3, 1}, {}}};
  const Status status = CheckParts({4, 6}, rows, Coverage::kFull);
  EXPECT_EQ(status.code(), Code::kMissingSlice);
  EXPECT_EQ(status.message(), "the parts have 18 of the 24 elements of the shape [4,6]");
  EXPECT_TRUE(CheckParts({4, 6}, rows, Coverage::kPartial).ok());
  EXPECT_EQ(CodeOf({4, 6}, {}), Code::kMissingSlice);
}

TEST(PartitionTest, OverlapsAndRepetitionsAreNamed) {
  const Status overlap =
      CheckParts({4, 6}, std::vector<Slice>{{{0, 2}, {}}, {{1, 3}, {}}}, Coverage::kPartial);
  EXPECT_EQ(overlap.code(), Code::kBadSlice);
  EXPECT_EQ(overlap.message(), "the parts 0,2:0,6 and 1,3:0,6 overlap");
  // However it is spelt.
  const Status twice =
      CheckParts({4, 6}, std::vector<Slice>{{{0, 2}, {}}, {{0, 2}, {0, 6}}}, Coverage::kFull);
  EXPECT_EQ(twice.message(), "the part 0,2:0,6 is there twice");
  PartSet set({4, 6});
  EXPECT_TRUE(set.Add({{0, 2}, {}}).ok());
  EXPECT_EQ(set.Add({{1, 3}, {}}).code(), Code::kBadSlice);
  EXPECT_TRUE(set.Add({{2, 2}, {}}).ok());
  EXPECT_TRUE(set.CheckCoverage().ok());
}

TEST(PartitionTest, EveryOverlapIsFound) {
  std::mt19937 random(2);
  const Shape shape = {12, 9, 5};
  for (int i = 0; i < 300; ++i) {
    auto boxes = Partition(shape, 2 + random() % 60, random);
    Box& grown = boxes[random() % boxes.size()];
    const size_t d = random() % shape.size();
    if (grown.begin[d] > 0) {
      --grown.begin[d];
      ++grown.size[d];
    } else if (grown.size[d] < shape[d]) {
      ++grown.size[d];
    } else {
      continue;
    }
    EXPECT_EQ(CodeOf(shape, SlicesOf(boxes, shape), Coverage::kPartial), Code::kBadSlice);
  }
}

TEST(PartitionTest, APinwheelThatNoPlanePartsIsAccepted) {
  const std::vector<Slice> pinwheel = {{{0, 1}, {0, 2}},
                                       {{0, 2}, {2, 1}},
                                       {{2, 1}, {1, 2}},
                                       {{1, 2}, {0, 1}},
                                       {{1, 1}, {1, 1}}};
  EXPECT_TRUE(CheckParts({3, 3}, pinwheel, Coverage::kFull).ok());
}

TEST(PartitionTest, PartsOutsideTheShapeAreRefused) {
  EXPECT_EQ(CodeOf({4, 6}, {{{0, 2}}}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({4}, {{{0, 5}}}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({4}, {{{4, 1}}}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({4}, {{{-1, 2}}}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({4}, {{{0, 0}}}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({4}, {{{0, -2}}}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({4}, {{{1, Extent::kFull}}}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({4}, {{{INT64_MAX, INT64_MAX}}}), Code::kBadSlice);
  EXPECT_EQ(SliceOf({{2}, {3}}, {4}).status().code(), Code::kBadSlice);
  EXPECT_EQ(SliceOf({{UINT64_MAX}, {2}}, {4}).status().code(), Code::kBadSlice);
  EXPECT_EQ(SliceOf({{2}, {0}}, {4}).status().code(), Code::kBadSlice);
  EXPECT_EQ(SliceOf({{0}, {1}}, {4, 1}).status().code(), Code::kBadSlice);
}

TEST(PartitionTest, ADimensionWithoutElementsCanBeHadWholeOnly) {
  const Slice first = *SliceOf({{0, 0}, {0, 2}}, {0, 5});
  EXPECT_EQ(SliceText(first), "-:0,2");
  const Slice second = *SliceOf({{0, 2}, {0, 3}}, {0, 5});
  EXPECT_TRUE(CheckParts({0, 5}, std::vector<Slice>{first, second}, Coverage::kFull).ok());
  EXPECT_EQ(CodeOf({0, 5}, {first, first}), Code::kBadSlice);
  const auto found = FindParts({0, 5}, std::vector<Slice>{first, second}, WholeBox({0, 5}));
  EXPECT_TRUE(found->empty());
}

TEST(PartitionTest, AWholePartIsToldInWhicheverWords) {
  EXPECT_TRUE(IsWhole({}, {}));
  EXPECT_TRUE(IsWhole({{}, {0, 6}}, {4, 6}));
  EXPECT_FALSE(IsWhole({{}, {0, 5}}, {4, 6}));
  EXPECT_EQ(SliceText(*SliceOf(WholeBox({4, 6}), {4, 6})), "0,4:0,6");
}

TEST(PartitionTest, AGridOfManyPartsIsCheckedInLittleWork) {
  std::vector<Box> boxes;
  for (uint64_t row = 0; row < 362; ++row) {
    for (uint64_t column = 0; column < 362; ++column) {
      boxes.push_back({{3 * row, 2 * column}, {3, 2}});
    }
  }
  std::shuffle(boxes.begin(), boxes.end(), std::mt19937(3));
  const Shape shape = {3 * 362, 2 * 362};
  EXPECT_TRUE(CheckParts(shape, SlicesOf(boxes, shape), Coverage::kFull).ok());
}

// Strips that cross, but for a corner: nothing parts them, and all pairs would be too many.
TEST(PartitionTest, PartsThatNoProgramWouldMakeAreGivenUp) {
  constexpr uint64_t kStrips = 4096;
  const Shape shape = {4 * kStrips, 4 * kStrips};
  std::vector<Box> boxes;
  for (uint64_t i = 0; i < kStrips; ++i) {
    boxes.push_back({{i, 0}, {1, 3 * kStrips}});
    boxes.push_back({{0, 3 * kStrips + i}, {3 * kStrips, 1}});
    boxes.push_back({{3 * kStrips + i, kStrips}, {1, 3 * kStrips}});
    boxes.push_back({{kStrips, i}, {3 * kStrips, 1}});
  }
  EXPECT_EQ(CodeOf(shape, SlicesOf(boxes, shape), Coverage::kPartial), Code::kLimitExceeded);
}

TEST(PartitionTest, ABoxIsFoundInThePartsThatHoldIt) {
  const std::vector<Slice> parts = {{{2, 2}, {}}, {{0, 2}, {0, 3}}, {{0, 2}, {3, 3}}};
  const auto row = FindParts({4, 6}, parts, {{1, 0}, {1, 6}});
  ASSERT_EQ(row->size(), 2u);
  EXPECT_EQ((*row)[0].part, 1u);
  EXPECT_EQ((*row)[1].place, (Box{{0, 3}, {2, 3}}));
  EXPECT_EQ(FindParts({4, 6}, parts, {{3, 5}, {1, 1}})->front().part, 0u);
  // What is missing, or there twice, matters where it is wanted.
  const std::vector<Slice> bad = {{{0, 2}, {}}, {{1, 1}, {}}};
  EXPECT_TRUE(FindParts({4, 6}, bad, {{0, 0}, {1, 6}}).ok());
  EXPECT_EQ(FindParts({4, 6}, bad, {{1, 0}, {1, 6}}).status().code(), Code::kBadSlice);
  const Status missing = FindParts({4, 6}, bad, {{2, 2}, {2, 2}}).status();
  EXPECT_EQ(missing.code(), Code::kMissingSlice);
  EXPECT_EQ(missing.message(),
            "the parts have 0 of the 4 elements of 2,2:2,2 of the shape [4,6]");
}

}  // namespace
}  // namespace tensorbundle::engine
