// Where each tensor goes: a pure function from sizes to shards and offsets.
//
// Within a shard tensors keep the order they were given in.  With one shard and an
// alignment of 1 that is TensorFlow's own dense packing.  With more shards the
// largest tensor goes first, each to the shard with the fewest bytes so far, which
// leaves the shards within one tensor of each other ("longest processing time").
//
// Congruence: direct I/O takes bytes from the caller's memory only where a block's address
// is a multiple of what the device demands, that is, where address and file offset agree
// modulo that.  A tensor that says its address residue is placed so, where its alignment
// allows it.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace tensorbundle::engine {

constexpr uint64_t kMaxAlignment = 1u << 30;  // bytes; beyond it files are mostly holes

// Tensors of different groups are never in one shard.
enum class Group : uint8_t {
  kChanging,   // or nothing is known
  kSteady,     // unchanged since an earlier bundle, and yet to be written
  kElsewhere,  // in a shard of which this plan does not know: they get no place
};

struct PlanTensor {
  uint64_t size = 0;                        // bytes
  std::optional<uint64_t> address_residue;  // of its memory, modulo the granule
  Group group = Group::kChanging;
};

struct PlanOptions {
  uint32_t num_shards = 1;  // of each group
  uint64_t alignment = 64;  // bytes, a power of two
  uint64_t granule = 1;     // bytes, a power of two: what the device demands of addresses
};

struct Placement {
  uint32_t shard = 0;
  uint64_t offset = 0;  // bytes from the start of the shard
  friend bool operator==(const Placement&, const Placement&) = default;
};

struct PlannedShard {
  std::vector<uint32_t> tensors;  // in the order of their offsets
  uint64_t begin = 0;  // where writing starts: not 0 where the file has bytes already
  uint64_t size = 0;   // bytes, with the gaps between tensors
};

struct Plan {
  std::vector<Placement> placements;  // one per tensor
  // Each of them holds bytes, but for a group's one whose tensors have none.
  std::vector<PlannedShard> shards;
};

// Errors: kInvalidArgument  num_shards or alignment out of range
Status CheckOptions(const PlanOptions& options);

// The first offset from `end` on that suits the tensor; absent where it is beyond 2^63.
std::optional<uint64_t> PlaceAfter(uint64_t end, const PlanTensor& tensor,
                                   const PlanOptions& options);

// Uses fewer shards than asked for where there are fewer tensors with bytes; one where there
// are no tensors at all, and none where all are elsewhere.
//
// Errors: kInvalidArgument  num_shards or alignment out of range
//         kLimitExceeded    a shard larger than 2^63 bytes, more than 2^32 tensors
Result<Plan> MakePlan(std::span<const PlanTensor> tensors, const PlanOptions& options);

}  // namespace tensorbundle::engine
