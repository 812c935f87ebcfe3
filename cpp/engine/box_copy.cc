#include "engine/box_copy.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <optional>

namespace tensorbundle::engine {

BoxCopy::BoxCopy(const Box& source, const Box& target, uint64_t element_size) {
  const std::optional<Box> shared = Intersection(source, target);
  assert(shared.has_value());
  const Box& common = *shared;
  // From the last dimension on, as long as all of it is shared, a run goes on into the
  // dimension before; the last that it reaches need not be shared whole.
  size_t outer = common.size.size();
  run_size_ = element_size;
  while (outer > 0) {
    --outer;
    run_size_ *= common.size[outer];
    if (common.size[outer] != source.size[outer] || common.size[outer] != target.size[outer]) {
      break;
    }
  }
  counts_.assign(common.size.begin(), common.size.begin() + static_cast<ptrdiff_t>(outer));
  for (const uint64_t count : counts_) num_runs_ *= count;
  source_ = SideOf(source, common, element_size);
  target_ = SideOf(target, common, element_size);
}

BoxCopy::Side BoxCopy::SideOf(const Box& box, const Box& common, uint64_t element_size) const {
  Side side;
  side.strides.resize(counts_.size());
  uint64_t stride = element_size;
  for (size_t d = box.size.size(); d-- > 0;) {
    side.first += (common.begin[d] - box.begin[d]) * stride;
    if (d < counts_.size()) side.strides[d] = stride;
    stride *= box.size[d];
  }
  side.size = stride;
  return side;
}

uint64_t BoxCopy::Locate(const Side& side, uint64_t run) const {
  uint64_t offset = side.first;
  for (size_t d = counts_.size(); d-- > 0;) {
    offset += run % counts_[d] * side.strides[d];
    run /= counts_[d];
  }
  return offset;
}

uint64_t BoxCopy::FirstRunAfter(uint64_t offset) const {
  uint64_t low = 0;
  uint64_t high = num_runs_;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (SourceOffset(middle) + run_size_ > offset) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

void BoxCopy::Place(uint64_t offset, Bytes bytes, MutableBytes target) const {
  const uint64_t end = offset + bytes.size();
  for (uint64_t run = FirstRunAfter(offset); run < num_runs_;) {
    // Runs that differ in the last outer dimension only lie at equal distances.
    const uint64_t row = counts_.empty() ? 1 : counts_.back() - run % counts_.back();
    uint64_t from = SourceOffset(run);
    uint64_t to = TargetOffset(run);
    for (uint64_t i = 0; i < row; ++i) {
      if (from >= end) return;
      const uint64_t begin = std::max(from, offset);
      const uint64_t size = std::min(from + run_size_, end) - begin;
      std::memcpy(target.subspan(to + (begin - from), size).data(),
                  bytes.subspan(begin - offset, size).data(), size);
      if (counts_.empty()) return;
      from += source_.strides.back();
      to += target_.strides.back();
    }
    run += row;
  }
}

}  // namespace tensorbundle::engine
