#include "engine/plan.h"

#include <algorithm>
#include <bit>
#include <queue>
#include <string>
#include <utility>

#include "base/arithmetic.h"
#include "format/naming.h"

namespace tensorbundle::engine {
namespace {

// Gives each tensor of a group its shard, from `first` on; returns how many are used.
uint32_t ChooseShards(std::span<const PlanTensor> tensors, Group group,
                      const PlanOptions& options, uint32_t first,
                      std::vector<Placement>& placements) {
  std::vector<uint32_t> by_size;  // those of the group
  uint32_t with_bytes = 0;
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].group != group) continue;
    by_size.push_back(i);
    placements[i].shard = first;
    with_bytes += tensors[i].size > 0 ? 1 : 0;
  }
  const uint32_t used = std::max(1u, std::min(options.num_shards, with_bytes));
  if (by_size.empty()) return 0;
  if (used == 1) return used;

  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](uint32_t a, uint32_t b) { return tensors[a].size > tensors[b].size; });
  using Load = std::pair<uint64_t, uint32_t>;  // bytes so far, shard
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (uint32_t shard = 0; shard < used; ++shard) loads.emplace(0, first + shard);
  for (const uint32_t i : by_size) {
    const auto [bytes, shard] = loads.top();
    loads.pop();
    placements[i].shard = shard;
    loads.emplace(bytes + tensors[i].size, shard);
  }
  return used;
}

}  // namespace

Status CheckOptions(const PlanOptions& options) {
  if (options.num_shards == 0 || options.num_shards > format::kMaxShards) {
    return Status(Code::kInvalidArgument, "num_shards must be between 1 and " +
                                              std::to_string(format::kMaxShards) + ", not " +
                                              std::to_string(options.num_shards));
  }
  if (!std::has_single_bit(options.alignment) || options.alignment > kMaxAlignment) {
    return Status(Code::kInvalidArgument, "alignment must be a power of two up to " +
                                              std::to_string(kMaxAlignment) + ", not " +
                                              std::to_string(options.alignment));
  }
  return Status();
}

std::optional<uint64_t> PlaceAfter(uint64_t end, const PlanTensor& tensor,
                                   const PlanOptions& options) {
  // Alignment 1 asks for dense packing; the residue must be a multiple of the alignment,
  // for then the offset is one too.
  const bool congruent = tensor.address_residue.has_value() && options.alignment > 1 &&
                         options.alignment <= options.granule &&
                         *tensor.address_residue % options.alignment == 0;
  std::optional<uint64_t> offset;
  if (congruent) {
    const uint64_t residue = *tensor.address_residue % options.granule;
    const uint64_t ahead = (residue - end) % options.granule;  // wraps to the right value
    offset = CheckedAdd(end, ahead);
  } else {
    offset = CheckedAlignUp(end, options.alignment);
  }
  const auto after = offset ? CheckedAdd(*offset, tensor.size) : std::nullopt;
  return after && *after <= INT64_MAX ? offset : std::nullopt;
}

Result<Plan> MakePlan(std::span<const PlanTensor> tensors, const PlanOptions& options) {
  TB_RETURN_IF_ERROR(CheckOptions(options));
  if (tensors.size() > UINT32_MAX) {
    return Status(Code::kLimitExceeded, "more than 2^32 - 1 tensors");
  }
  Plan plan;
  plan.placements.resize(tensors.size());
  uint32_t num_shards = tensors.empty() ? 1 : 0;
  for (const Group group : {Group::kChanging, Group::kSteady}) {
    num_shards += ChooseShards(tensors, group, options, num_shards, plan.placements);
  }
  plan.shards.resize(num_shards);
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].group == Group::kElsewhere) continue;
    Placement& placement = plan.placements[i];
    PlannedShard& shard = plan.shards[placement.shard];
    const auto offset = PlaceAfter(shard.size, tensors[i], options);
    if (!offset) {
      return Status(Code::kLimitExceeded, "a shard would be larger than 2^63 bytes");
    }
    placement.offset = *offset;
    shard.size = *offset + tensors[i].size;
    shard.tensors.push_back(i);
  }
  return plan;
}

}  // namespace tensorbundle::engine
