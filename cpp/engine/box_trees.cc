#include "engine/box_trees.h"

#include <algorithm>
#include <utility>

namespace tensorbundle::engine {
namespace {

std::vector<uint64_t> CornersOfBox(const Box& box) {
  std::vector<uint64_t> corners(box.begin.begin(), box.begin.end());
  for (size_t d = 0; d < box.begin.size(); ++d) corners.push_back(EndOf(box, d));
  return corners;
}

}  // namespace

std::optional<uint32_t> BoxTrees::FindOverlap(const Box& box) const {
  const std::vector<uint64_t> wanted = CornersOfBox(box);
  for (const Tree& tree : trees_) {
    if (const auto found = Find(tree, 1, wanted)) return found;
  }
  return std::nullopt;
}

void BoxTrees::Add(const Box& box) {
  const std::vector<uint64_t> corners = CornersOfBox(box);
  corners_.insert(corners_.end(), corners.begin(), corners.end());
  Tree tree;
  tree.boxes.push_back(num_boxes_++);
  while (!trees_.empty() && trees_.back().boxes.size() == tree.boxes.size()) {
    const std::vector<uint32_t>& others = trees_.back().boxes;
    tree.boxes.insert(tree.boxes.end(), others.begin(), others.end());
    trees_.pop_back();
  }
  tree.bounds.resize(2 * tree.boxes.size() * 2 * rank_);
  Build(tree, 1, tree.boxes);
  trees_.push_back(std::move(tree));
}

// Puts the boxes into the order of the leaves below `node`, and the bounds into the nodes.
void BoxTrees::Build(Tree& tree, size_t node, std::span<uint32_t> boxes) const {
  const std::span<uint64_t> bounds =
      std::span(tree.bounds).subspan(node * 2 * rank_, 2 * rank_);
  std::ranges::copy(CornersOf(boxes.front()), bounds.begin());
  for (const uint32_t box : boxes) {
    const Corners corners = CornersOf(box);
    for (size_t d = 0; d < rank_; ++d) {
      bounds[d] = std::min(bounds[d], corners[d]);
      bounds[rank_ + d] = std::max(bounds[rank_ + d], corners[rank_ + d]);
    }
  }
  if (boxes.size() == 1) return;
  const size_t dimension = WidestSpread(boxes);
  const size_t half = boxes.size() / 2;
  std::ranges::nth_element(boxes, boxes.begin() + static_cast<ptrdiff_t>(half), {},
                           [&](uint32_t box) { return CornersOf(box)[dimension]; });
  Build(tree, 2 * node, boxes.first(half));
  Build(tree, 2 * node + 1, boxes.subspan(half));
}

// The dimension in which the boxes' first elements lie farthest apart: not the longest one,
// all of which each of them may have.
size_t BoxTrees::WidestSpread(std::span<const uint32_t> boxes) const {
  size_t widest = 0;
  uint64_t most = 0;
  for (size_t d = 0; d < rank_; ++d) {
    const auto [first, last] =
        std::ranges::minmax(boxes, {}, [&](uint32_t box) { return CornersOf(box)[d]; });
    const uint64_t spread = CornersOf(last)[d] - CornersOf(first)[d];
    if (spread > most) {
      widest = d;
      most = spread;
    }
  }
  return widest;
}

std::optional<uint32_t> BoxTrees::Find(const Tree& tree, size_t node, Corners wanted) const {
  if (!Meet(BoundsOf(tree, node), wanted)) return std::nullopt;
  if (node >= tree.boxes.size()) return tree.boxes[node - tree.boxes.size()];
  const auto found = Find(tree, 2 * node, wanted);
  return found.has_value() ? found : Find(tree, 2 * node + 1, wanted);
}

bool BoxTrees::Meet(Corners a, Corners b) const {
  for (size_t d = 0; d < rank_; ++d) {
    if (a[d] >= b[rank_ + d] || b[d] >= a[rank_ + d]) return false;
  }
  return true;
}

BoxTrees::Corners BoxTrees::CornersOf(uint32_t box) const {
  return Corners(corners_).subspan(box * 2 * rank_, 2 * rank_);
}

BoxTrees::Corners BoxTrees::BoundsOf(const Tree& tree, size_t node) const {
  return Corners(tree.bounds).subspan(node * 2 * rank_, 2 * rank_);
}

}  // namespace tensorbundle::engine
