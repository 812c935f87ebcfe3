// Writes one extent of a shard and checksums it on the way.
//
// Bytes that lie in the caller's memory as they will in the file are written from
// there.  Everything else goes through staging slots: small tensors, strided ones, gaps,
// and, where the file is written past the page cache, the partial blocks at either end
// of a tensor.  So does memory in small pages where these make the device's requests small
// (io/request_limits.h): the copy costs less than what it gains, since it stays in cache,
// and the checksum, which reads every byte anyway, makes it on its way.
//
// Buffered, a block is checksummed just before it is written, so that the copy into the
// page cache finds it in the processor's cache.  Direct, it is checksummed while the
// device already reads it: a queue keeps several blocks in flight.
//
// Ownership: borrows the plan, the tensors, the file, the queue and the staging memory.
//
// Threads: one ExtentWriter per thread; several may write one file, each its own
// extents.

#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/alignment.h"
#include "base/bytes.h"
#include "base/result.h"
#include "engine/extents.h"
#include "engine/part_checksum.h"
#include "engine/plan.h"
#include "engine/stages.h"
#include "engine/tensor_view.h"
#include "engine/thread_pool.h"
#include "engine/timed_queue.h"
#include "io/huge_pages.h"
#include "io/storage.h"

namespace tensorbundle::engine {

constexpr size_t kStagingSlots = 4;           // per thread: one fills while others are written
constexpr size_t kMaxStagingSlot = 1u << 20;  // bytes
constexpr size_t kMinStagingSlot = 64u << 10;  // bytes: a multiple of any device's granule

// The staging memory of all threads together: a save holds little beside the model.
constexpr size_t kStagingBudget = 32u << 20;  // bytes

// Bytes of one thread's slot when `num_threads` share the budget.
constexpr size_t StagingSlotSize(size_t num_threads) {
  const size_t share = kStagingBudget / kStagingSlots / num_threads;
  return std::clamp(AlignDown(share, kMinStagingSlot), kMinStagingSlot, kMaxStagingSlot);
}

struct ExtentResult {
  std::vector<PartChecksum> parts;  // in the order of their offsets
  std::vector<uint64_t> zero_copy;  // bytes of each part that were not staged
  uint64_t zero_copy_bytes = 0;     // written from the caller's memory
  uint64_t staged_bytes = 0;        // copied first
};

// What one thread writes with.
struct WriteResources {
  MutableBytes staging;  // kStagingSlots slots, aligned to any device's granule
  TimedQueue* queue = nullptr;
  TransferSeconds* seconds = nullptr;  // what the queue adds to as well
  uint64_t block_size = 0;             // bytes per write from the caller's memory
  bool stage_all = false;              // checksum the very bytes that are written (snapshot)
  // Where a file would rather have huge pages, memory in small ones is staged; null: never.
  const io::HugePages* huge_pages = nullptr;
};

class ExtentWriter {
 public:
  ExtentWriter(const Plan& plan, std::span<const TensorView> tensors,
               const WriteResources& resources, JobContext& context)
      : plan_(plan),
        tensors_(tensors),
        resources_(resources),
        slot_size_(resources.staging.size() / kStagingSlots),
        context_(context) {}

  // Returns when everything is written.
  //
  // Errors: kCancelled, and whatever the file returns
  Result<ExtentResult> Write(const Extent& extent, io::WritableFile& file);

 private:
  void AddCopySeconds(double elapsed, const TransferSeconds& before);
  void AddChecksum(Bytes block, PartChecksum& part);
  Status WriteAll(const Extent& extent);
  Status WritePart(const TensorView& tensor, uint64_t offset, uint64_t end,
                   PartChecksum& part);
  bool WritesWell(Bytes run) const;
  Status WriteFromMemory(Bytes bytes, PartChecksum& part);
  Status Stage(const TensorView& tensor, uint64_t begin, uint64_t end, PartChecksum& part);
  Status StageGap(uint64_t size);
  Status StageZeros(uint64_t size);
  Status PadToGranule();
  Result<MutableBytes> StagingRoom();
  void Staged(size_t size);
  Status Flush();

  const Plan& plan_;
  const std::span<const TensorView> tensors_;
  const WriteResources& resources_;
  const size_t slot_size_;  // bytes
  JobContext& context_;

  io::WritableFile* file_ = nullptr;
  io::Granule granule_;
  uint64_t position_ = 0;  // in the file: where the next byte goes
  size_t slot_ = 0;        // being filled
  size_t staged_ = 0;      // bytes in that slot, which end at position_
  TimedQueue::Ticket tickets_[kStagingSlots] = {};  // of the slots' last writes
  ExtentResult result_;
};

}  // namespace tensorbundle::engine
