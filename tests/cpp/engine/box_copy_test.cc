#include "engine/box_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <span>
#include <vector>

#include "engine/random_boxes.h"

namespace tensorbundle::engine {
namespace {

using format::Shape;

// Coordinates of each element of a box, in C order.
std::vector<Shape> ElementsOf(const Box& box) {
  std::vector<Shape> elements = {{}};
  for (size_t d = 0; d < box.size.size(); ++d) {
    std::vector<Shape> longer;
    for (const Shape& element : elements) {
      for (uint64_t i = 0; i < box.size[d]; ++i) {
        longer.push_back(element);
        longer.back().push_back(box.begin[d] + i);
      }
    }
    elements = std::move(longer);
  }
  return elements;
}

// Every element in memory is its index in the whole tensor.
std::vector<uint16_t> Numbered(const Box& box, const Shape& shape) {
  std::vector<uint16_t> numbers;
  for (const Shape& element : ElementsOf(box)) {
    uint64_t index = 0;
    for (size_t d = 0; d < shape.size(); ++d) index = index * shape[d] + element[d];
    numbers.push_back(static_cast<uint16_t>(index));
  }
  return numbers;
}

TEST(BoxCopyTest, PlacesEveryPieceWhereItBelongs) {
  std::mt19937 random(4);
  const Shape shapes[] = {{}, {40}, {8, 9}, {5, 6, 7}, {3, 2, 4, 3, 2}};
  for (int round = 0; round < 400; ++round) {
    const Shape& shape = shapes[static_cast<size_t>(round) % std::size(shapes)];
    const Box target = Partition(shape, 1 + random() % 4, random).front();
    const std::vector<uint16_t> expected = Numbered(target, shape);
    std::vector<uint16_t> found(expected.size(), 0xffff);
    const MutableBytes out = std::as_writable_bytes(std::span(found));
    for (const Box& source : Partition(shape, 1 + random() % 12, random)) {
      if (!Intersection(source, target).has_value()) continue;
      const BoxCopy copy(source, target, sizeof(uint16_t));
      const std::vector<uint16_t> memory = Numbered(source, shape);
      const Bytes bytes = std::as_bytes(std::span(memory));
      EXPECT_EQ(copy.source_size(), bytes.size());
      // In pieces that take no notice of elements.
      for (size_t at = 0; at < bytes.size();) {
        const size_t size = std::min<size_t>(bytes.size() - at, 1 + random() % 13);
        copy.Place(at, bytes.subspan(at, size), out);
        at += size;
      }
    }
    EXPECT_EQ(found, expected);
  }
}

TEST(BoxCopyTest, RunsAreAsLongAsTheyCanBe) {
  const Box whole = WholeBox({4, 6, 5});
  const BoxCopy rows({{1, 0, 0}, {2, 6, 5}}, whole, 4);
  EXPECT_EQ(rows.num_runs(), 1u);
  EXPECT_EQ(rows.run_size(), 2u * 6 * 5 * 4);
  EXPECT_EQ(rows.TargetOffset(0), 1u * 6 * 5 * 4);
  const BoxCopy columns(whole, {{0, 2, 0}, {4, 3, 5}}, 4);
  EXPECT_EQ(columns.num_runs(), 4u);
  EXPECT_EQ(columns.run_size(), 3u * 5 * 4);
  EXPECT_EQ(columns.SourceOffset(2), (2 * 6 * 5 + 2 * 5) * 4u);
  EXPECT_EQ(columns.TargetOffset(2), (2 * 3 * 5) * 4u);
  const BoxCopy scalar(WholeBox({}), WholeBox({}), 8);
  EXPECT_EQ(scalar.num_runs(), 1u);
  EXPECT_EQ(scalar.run_size(), 8u);
}

}  // namespace
}  // namespace tensorbundle::engine
