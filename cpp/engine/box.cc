#include "engine/box.h"

#include <algorithm>

namespace tensorbundle::engine {

using format::Shape;

Box WholeBox(const Shape& shape) { return {Shape(shape.size()), shape}; }

uint64_t Volume(const Box& box) {
  uint64_t volume = 1;
  for (const uint64_t size : box.size) {
    if (size == 0) return 0;  // the other dimensions may be as large as they like
    volume *= size;
  }
  return volume;
}

uint64_t EndOf(const Box& box, size_t dimension) {
  return box.begin[dimension] + std::max<uint64_t>(box.size[dimension], 1);
}

bool Overlap(const Box& a, const Box& b) {
  for (size_t d = 0; d < a.begin.size(); ++d) {
    if (a.begin[d] >= EndOf(b, d) || b.begin[d] >= EndOf(a, d)) return false;
  }
  return true;
}

std::optional<Box> Intersection(const Box& a, const Box& b) {
  Box common;
  for (size_t d = 0; d < a.begin.size(); ++d) {
    const uint64_t begin = std::max(a.begin[d], b.begin[d]);
    const uint64_t end = std::min(a.begin[d] + a.size[d], b.begin[d] + b.size[d]);
    if (begin >= end) return std::nullopt;
    common.begin.push_back(begin);
    common.size.push_back(end - begin);
  }
  return common;
}

}  // namespace tensorbundle::engine
