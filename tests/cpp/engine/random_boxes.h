// Tensors cut into random parts.

#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <vector>

#include "engine/box.h"

namespace tensorbundle::engine {

// Cuts the box at random places, in random dimensions, until `pieces` are made of it, or
// it is one element.
inline void CutApart(const Box& box, size_t pieces, std::mt19937& random,
                     std::vector<Box>& out) {
  const size_t d = box.size.empty() ? 0 : random() % box.size.size();
  if (pieces < 2 || box.size.empty() || box.size[d] < 2) {
    out.push_back(box);
    return;
  }
  const uint64_t cut = 1 + random() % (box.size[d] - 1);
  Box first = box;
  Box second = box;
  first.size[d] = cut;
  second.begin[d] += cut;
  second.size[d] -= cut;
  CutApart(first, pieces / 2, random, out);
  CutApart(second, pieces - pieces / 2, random, out);
}

// In no order.
inline std::vector<Box> Partition(const format::Shape& shape, size_t pieces,
                                  std::mt19937& random) {
  std::vector<Box> boxes;
  CutApart(WholeBox(shape), pieces, random, boxes);
  std::shuffle(boxes.begin(), boxes.end(), random);
  return boxes;
}

}  // namespace tensorbundle::engine
