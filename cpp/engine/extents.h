// A planned shard, cut into extents: the jobs that threads take.
//
// An extent is a range of one shard.  Its boundaries are multiples of the extent
// size, and so of any device's granule, so that two threads never share a block of
// the file.  A tensor that crosses a boundary is checksummed in parts, one per
// extent, which are combined afterwards.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/plan.h"

namespace tensorbundle::engine {

// Large enough that a request costs nothing beside its bytes, small enough that a
// few hundred of them balance over threads and that Ctrl-C is prompt.
constexpr uint64_t kExtentSize = 16u << 20;  // bytes

struct Extent {
  uint32_t shard = 0;
  uint64_t begin = 0;  // bytes from the start of the shard
  uint64_t end = 0;
  uint32_t first_tensor = 0;  // index into PlannedShard::tensors
  uint32_t end_tensor = 0;    // one past the last that has bytes in this extent
};

// Shards that are under construction at the same time: threads find different files
// to work on, and a bundle of 10,000 shards still needs few descriptors.
constexpr uint32_t kOpenShards = 64;

// Of all shards, interleaved among kOpenShards of them at a time.  A shard without
// bytes gets one empty extent.  `sizes` has each tensor's size in bytes.
std::vector<Extent> CutIntoExtents(const Plan& plan, std::span<const uint64_t> sizes);

}  // namespace tensorbundle::engine
