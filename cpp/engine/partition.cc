#include "engine/partition.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

namespace tensorbundle::engine {
namespace {

using format::Extent;
using format::Shape;
using format::Slice;

std::string ShapeText(const Shape& shape) {
  std::string text = "[";
  for (const uint64_t size : shape) {
    if (text.size() > 1) text += ',';
    text += std::to_string(size);
  }
  return text + "]";
}

Status NotInside(const std::string& what, const Shape& shape) {
  return Status(Code::kBadSlice, what + " is not inside the shape " + ShapeText(shape));
}

std::string BoxText(const Box& box) {
  Slice slice;
  for (size_t d = 0; d < box.begin.size(); ++d) {
    slice.push_back({static_cast<int64_t>(box.begin[d]), static_cast<int64_t>(box.size[d])});
  }
  return SliceText(slice);
}

Status TooMany() {
  return Status(Code::kLimitExceeded,
                "more than " + std::to_string(format::kMaxSlices) + " parts");
}

Status Overlapping(const Box& a, const Box& b) {
  return Status(Code::kBadSlice,
                a == b ? "the part " + BoxText(a) + " is there twice"
                       : "the parts " + BoxText(a) + " and " + BoxText(b) + " overlap");
}

Status NotCovered(uint64_t num_covered, uint64_t num_wanted, const std::string& of_what) {
  return Status(Code::kMissingSlice, "the parts have " + std::to_string(num_covered) +
                                         " of the " + std::to_string(num_wanted) +
                                         " elements of " + of_what);
}

// Finds out whether boxes overlap.  Where a plane parts them without cutting any, each side
// is looked at by itself: rows, columns and grids fall apart into single boxes.  What no
// plane parts is compared in pairs.
class OverlapSearch {
 public:
  explicit OverlapSearch(std::span<const Box> boxes) : boxes_(boxes), order_(boxes.size()) {
    std::iota(order_.begin(), order_.end(), 0u);
  }

  Status Run() {
    groups_.push_back(order_);
    while (!groups_.empty()) {
      const std::span<uint32_t> group = groups_.back();
      groups_.pop_back();
      TB_RETURN_IF_ERROR(Search(group));
    }
    return Status();
  }

 private:
  Status Search(std::span<uint32_t> group) {
    if (group.size() < 2) return Status();
    const size_t rank = boxes_.front().begin.size();
    for (size_t d = 0; d < rank; ++d) {
      TB_RETURN_IF_ERROR(Charge(group.size()));
      if (Split(group, d)) return Status();
    }
    return ComparePairs(group);
  }

  // Cuts the group between boxes in dimension `d`; false where that cannot be done.
  bool Split(std::span<uint32_t> group, size_t d) {
    std::sort(group.begin(), group.end(),
              [&](uint32_t a, uint32_t b) { return boxes_[a].begin[d] < boxes_[b].begin[d]; });
    size_t first = 0;
    uint64_t reach = EndOf(boxes_[group.front()], d);
    for (size_t i = 1; i < group.size(); ++i) {
      const Box& box = boxes_[group[i]];
      if (box.begin[d] >= reach) {
        groups_.push_back(group.subspan(first, i - first));
        first = i;
      }
      reach = std::max(reach, EndOf(box, d));
    }
    if (first == 0) return false;
    groups_.push_back(group.subspan(first));
    return true;
  }

  Status ComparePairs(std::span<const uint32_t> group) {
    for (size_t i = 0; i < group.size(); ++i) {
      TB_RETURN_IF_ERROR(Charge(i));
      for (size_t j = 0; j < i; ++j) {
        const Box& a = boxes_[std::min(group[i], group[j])];
        const Box& b = boxes_[std::max(group[i], group[j])];
        if (Overlap(a, b)) return Overlapping(a, b);
      }
    }
    return Status();
  }

  Status Charge(uint64_t steps) {
    if (steps <= work_left_) {
      work_left_ -= steps;
      return Status();
    }
    return Status(Code::kLimitExceeded, "the " + std::to_string(boxes_.size()) +
                                            " parts lie such that finding out whether they "
                                            "overlap takes too long");
  }

  const std::span<const Box> boxes_;
  std::vector<uint32_t> order_;              // of the boxes; groups are runs of it
  std::vector<std::span<uint32_t>> groups_;  // still to be looked at
  uint64_t work_left_ = kMaxPartitionWork;
};

uint64_t TotalVolume(std::span<const Box> boxes) {
  uint64_t total = 0;
  for (const Box& box : boxes) total += Volume(box);
  return total;
}

}  // namespace

Result<Box> BoxOf(const Slice& slice, const Shape& shape) {
  const auto refused = [&] { return NotInside("the part " + SliceText(slice), shape); };
  if (slice.size() != shape.size()) return refused();
  Box box = WholeBox(shape);
  for (size_t d = 0; d < shape.size(); ++d) {
    const Extent& extent = slice[d];
    if (extent.length == Extent::kFull && extent.start == 0) continue;
    if (extent.start < 0 || extent.length <= 0) return refused();
    box.begin[d] = static_cast<uint64_t>(extent.start);
    box.size[d] = static_cast<uint64_t>(extent.length);
    if (box.begin[d] > shape[d] || box.size[d] > shape[d] - box.begin[d]) return refused();
  }
  return box;
}

Result<Slice> SliceOf(const Box& box, const Shape& shape) {
  const bool same_rank = box.begin.size() == shape.size() && box.size.size() == shape.size();
  if (!same_rank) {
    return Status(Code::kBadSlice, "a part of rank " + std::to_string(box.size.size()) +
                                       " at " + std::to_string(box.begin.size()) +
                                       " offsets cannot be one of the shape " +
                                       ShapeText(shape));
  }
  Slice slice;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (box.begin[d] > shape[d] || box.size[d] > shape[d] - box.begin[d]) {
      return NotInside(
          "the part of shape " + ShapeText(box.size) + " at " + ShapeText(box.begin), shape);
    }
    if (box.size[d] == 0 && shape[d] != 0) {
      return Status(Code::kBadSlice, "the part of shape " + ShapeText(box.size) + " at " +
                                         ShapeText(box.begin) + " has no elements");
    }
    // An extent's length is above 0; a dimension without elements can be had whole only.
    slice.push_back(shape[d] == 0 ? Extent{}
                                  : Extent{static_cast<int64_t>(box.begin[d]),
                                           static_cast<int64_t>(box.size[d])});
  }
  return slice;
}

bool IsWhole(const Slice& slice, const Shape& shape) {
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t length = slice[d].length;
    if (length != Extent::kFull && static_cast<uint64_t>(length) != shape[d]) return false;
  }
  return true;
}

std::string SliceText(const Slice& slice) {
  std::string text;
  for (size_t d = 0; d < slice.size(); ++d) {
    if (d > 0) text += ':';
    const Extent& extent = slice[d];
    text += extent == Extent{}
                ? "-"
                : std::to_string(extent.start) + "," + std::to_string(extent.length);
  }
  return text;
}

Status CheckParts(const Shape& shape, std::span<const Slice> parts, Coverage coverage) {
  if (parts.size() > format::kMaxSlices) return TooMany();
  std::vector<Box> boxes;
  boxes.reserve(parts.size());
  for (const Slice& part : parts) {
    TB_ASSIGN_OR_RETURN(Box box, BoxOf(part, shape));
    boxes.push_back(std::move(box));
  }
  TB_RETURN_IF_ERROR(OverlapSearch(boxes).Run());
  if (coverage == Coverage::kPartial) return Status();
  const uint64_t num_covered = TotalVolume(boxes);
  const uint64_t num_elements = Volume(WholeBox(shape));
  if (num_covered == num_elements) return Status();
  return NotCovered(num_covered, num_elements, "the shape " + ShapeText(shape));
}

Status AsArgumentError(Status status) {
  if (status.ok()) return status;
  std::string message = status.message();
  if (status.code() == Code::kMissingSlice) {
    message += "; give the others too, or partial=True where another bundle has them";
  }
  return Status(Code::kInvalidArgument, std::move(message)).WithKey(status.key());
}

Status PartSet::Add(const Slice& slice) {
  if (slices_.size() == format::kMaxSlices) return TooMany();
  TB_ASSIGN_OR_RETURN(const Box box, BoxOf(slice, shape_));
  if (const std::optional<uint32_t> other = boxes_.FindOverlap(box)) {
    return Overlapping(BoxOf(slices_[*other], shape_).value(), box);
  }
  num_covered_ += Volume(box);
  slices_.push_back(slice);
  boxes_.Add(box);
  return Status();
}

Status PartSet::CheckCoverage() const {
  const uint64_t num_elements = Volume(WholeBox(shape_));
  if (num_covered_ == num_elements) return Status();
  return NotCovered(num_covered_, num_elements, "the shape " + ShapeText(shape_));
}

Result<std::vector<PartOfBox>> FindParts(const Shape& shape, std::span<const Slice> parts,
                                         const Box& wanted) {
  std::vector<PartOfBox> found;
  std::vector<Box> common;
  for (size_t i = 0; i < parts.size(); ++i) {
    TB_ASSIGN_OR_RETURN(Box place, BoxOf(parts[i], shape));
    std::optional<Box> shared = Intersection(place, wanted);
    if (!shared.has_value()) continue;
    found.push_back({i, std::move(place)});
    common.push_back(*std::move(shared));
  }
  if (!common.empty()) TB_RETURN_IF_ERROR(OverlapSearch(common).Run());
  const uint64_t num_covered = TotalVolume(common);
  const uint64_t num_wanted = Volume(wanted);
  if (num_covered == num_wanted) return found;
  return NotCovered(num_covered, num_wanted,
                    BoxText(wanted) + " of the shape " + ShapeText(shape));
}

}  // namespace tensorbundle::engine
