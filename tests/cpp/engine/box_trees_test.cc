#include "engine/box_trees.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace tensorbundle::engine {
namespace {

// The first of `boxes` that overlaps, by comparing with each.
bool AnyOverlaps(const std::vector<Box>& boxes, const Box& box) {
  return std::ranges::any_of(boxes, [&](const Box& other) { return Overlap(other, box); });
}

Box RandomBox(const format::Shape& shape, std::mt19937& random) {
  Box box;
  for (const uint64_t size : shape) {
    box.begin.push_back(random() % size);
    box.size.push_back(1 + random() % std::min<uint64_t>(3, size - box.begin.back()));
  }
  return box;
}

TEST(BoxTreesTest, RandomBoxesAreToldFromThoseThatOverlap) {
  std::mt19937 random(1);
  const format::Shape shapes[] = {{50}, {40, 40}, {9, 1, 12}, {4, 5, 4, 5, 4}};
  for (const format::Shape& shape : shapes) {
    BoxTrees trees(shape.size());
    std::vector<Box> boxes;
    for (int i = 0; i < 3000; ++i) {
      const Box box = RandomBox(shape, random);
      const auto found = trees.FindOverlap(box);
      ASSERT_EQ(found.has_value(), AnyOverlaps(boxes, box)) << boxes.size();
      if (found.has_value()) {
        EXPECT_TRUE(Overlap(boxes.at(*found), box));
        continue;
      }
      trees.Add(box);
      boxes.push_back(box);
    }
    EXPECT_GT(boxes.size(), 15u);
  }
}

TEST(BoxTreesTest, EveryBoxOfAGridIsFoundAgain) {
  std::mt19937 random(2);
  std::vector<Box> boxes;
  for (uint64_t row = 0; row < 100; ++row) {
    for (uint64_t column = 0; column < 30; ++column) {
      boxes.push_back({{row, 100 * column}, {1, 100}});
    }
  }
  std::ranges::shuffle(boxes, random);
  BoxTrees trees(2);
  for (const Box& box : boxes) {
    EXPECT_FALSE(trees.FindOverlap(box).has_value());
    trees.Add(box);
  }
  for (uint32_t i = 0; i < boxes.size(); ++i) EXPECT_EQ(trees.FindOverlap(boxes[i]), i);
}

TEST(BoxTreesTest, OfADimensionWithoutElementsEverybodyHasAll) {
  BoxTrees trees(2);
  trees.Add({{0, 0}, {0, 2}});
  EXPECT_FALSE(trees.FindOverlap({{0, 2}, {0, 3}}).has_value());
  EXPECT_EQ(trees.FindOverlap({{0, 1}, {0, 1}}), 0u);
}

TEST(BoxTreesTest, ThereIsRoomForOneScalar) {
  BoxTrees trees(0);
  EXPECT_FALSE(trees.FindOverlap({}).has_value());
  trees.Add({});
  EXPECT_EQ(trees.FindOverlap({}), 0u);
}

}  // namespace
}  // namespace tensorbundle::engine
