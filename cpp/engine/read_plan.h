// Which reads fetch which tensors: a pure function, like engine/plan.h for writes.
//
// A job is a run of small neighbours fetched by one read, or a part of one large
// tensor.  Jobs are in the order of shard and offset.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tensorbundle::engine {

constexpr uint64_t kGatherSize = 1u << 20;     // bytes: the most that one read gathers
constexpr uint64_t kGatherGap = 64u << 10;     // bytes: a gap cheaper read than skipped
constexpr uint64_t kSmallTensor = 256u << 10;  // bytes: gathered up to this size
constexpr uint64_t kPartSize = 16u << 20;      // bytes: of a large tensor's parts

struct ReadRange {
  uint32_t shard = 0;
  uint64_t offset = 0;  // bytes from the start of the shard
  uint64_t size = 0;    // bytes
  bool whole = false;   // must not be cut: its checksum is not that of its bytes
};

struct ReadJob {
  uint32_t shard = 0;
  uint64_t begin = 0;  // bytes from the start of the shard
  uint64_t end = 0;
  std::vector<uint32_t> ranges;  // indexes; more than one: wholly inside [begin, end)
};

// Ranges without bytes get no job.
std::vector<ReadJob> PlanReads(std::span<const ReadRange> ranges);

}  // namespace tensorbundle::engine
