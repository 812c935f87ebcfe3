// Boxes that come one by one, and which of those that are there a new one overlaps.
//
// They are in balanced trees of 1, 2, 4, 8, ... boxes, no two of one size, each node with
// the bounds of the boxes below it.  A new box is a tree of its own; while there is another
// of its size, the two become one.  So a box goes through log n trees, each built in
// n log n, and n boxes take time in proportion to n log^2 n.  A search takes log^2 n where
// few bounds overlap: in rows, columns, grids, and what else programs cut tensors into.
//
// Threads: one thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/box.h"

namespace tensorbundle::engine {

class BoxTrees {
 public:
  explicit BoxTrees(size_t rank) : rank_(rank) {}

  // One that shares an element with `box`: which, counted as they were added.
  std::optional<uint32_t> FindOverlap(const Box& box) const;

  // REQUIRES: FindOverlap() finds none; fewer than 2^32 are there
  void Add(const Box& box);

 private:
  // Per dimension the first element; then per dimension what EndOf() says.
  using Corners = std::span<const uint64_t>;

  struct Tree {
    std::vector<uint32_t> boxes;  // by leaf: 2^k of them
    // Corners by node: below node i are 2i and 2i + 1; the leaves are the last 2^k.
    std::vector<uint64_t> bounds;
  };

  Corners CornersOf(uint32_t box) const;
  Corners BoundsOf(const Tree& tree, size_t node) const;
  bool Meet(Corners a, Corners b) const;
  void Build(Tree& tree, size_t node, std::span<uint32_t> boxes) const;
  size_t WidestSpread(std::span<const uint32_t> boxes) const;
  std::optional<uint32_t> Find(const Tree& tree, size_t node, Corners wanted) const;

  const size_t rank_;
  uint32_t num_boxes_ = 0;
  std::vector<uint64_t> corners_;  // of all boxes
  std::vector<Tree> trees_;        // the largest first
};

}  // namespace tensorbundle::engine
