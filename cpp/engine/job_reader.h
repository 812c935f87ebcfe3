// Reads what one job of a read plan fetches, and checksums it on the way.
//
// Buffered, block by block: each block is checksummed while it is in the processor's
// cache.  Direct, several blocks are in flight while earlier ones are checksummed; whole
// granules go straight to the destination where its memory suits the device, the partial
// ones at either end, and everything else, through scratch memory.  Fresh memory is given
// its pages block by block, which overlaps with the blocks in flight.
//
// Ownership: borrows requests, queue and scratch memory.
//
// Threads: one JobReader per thread.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/page_supply.h"
#include "engine/part_checksum.h"
#include "engine/read_plan.h"
#include "engine/reader.h"
#include "engine/stages.h"
#include "engine/thread_pool.h"
#include "engine/timed_queue.h"
#include "io/storage.h"

namespace tensorbundle::engine {

constexpr size_t kScratchSlotSize = 1u << 20;  // bytes
constexpr size_t kScratchSlots = 4;            // per thread, in flight at a time
constexpr size_t kScratchSize = kScratchSlots * kScratchSlotSize;
constexpr uint64_t kMaxGranule = 64u << 10;  // bytes: of files that are read directly

// What one thread reads with.
struct ReadResources {
  // Aligned to any device's granule: kScratchSize bytes, or for files without a granule as
  // many as a job reads, if those are fewer.
  MutableBytes scratch;
  TimedQueue* queue = nullptr;  // may be null for files without a granule
  TransferSeconds* seconds = nullptr;
  uint64_t block_size = 0;      // bytes per read
  PageSupply* pages = nullptr;  // for requests whose memory is fresh
};

class JobReader {
 public:
  JobReader(std::span<const ReadRequest> requests, bool verify, ReadResources resources,
            JobContext& context)
      : requests_(requests), verify_(verify), resources_(resources), context_(context) {}

  // Fills the destinations of the job's requests and adds a part for each.
  //
  // Errors: kCancelled, and whatever the file returns
  Status Read(const ReadJob& job, const io::ReadableFile& file,
              std::vector<PartChecksum>& parts);

 private:
  // A transfer of whole granules, and what of it is wanted.
  struct Block {
    uint64_t offset = 0;  // in the file
    MutableBytes memory;  // where it is read to
    uint64_t begin = 0;   // the wanted bytes of `memory`
    uint64_t end = 0;
    MutableBytes copy_to;  // where they go in the end; empty: nowhere, or they are there
  };

  Status ReadBuffered(const ReadJob& job, const io::ReadableFile& file, PartChecksum& part);
  Status ReadDirect(const ReadJob& job, const io::ReadableFile& file, PartChecksum& part);
  std::vector<Block> BlocksInPlace(const ReadJob& job, io::Granule granule) const;
  std::vector<Block> BlocksThroughScratch(const ReadJob& job, io::Granule granule) const;
  Block EdgeBlock(const ReadJob& job, io::Granule granule, uint64_t offset, size_t slot) const;
  Status Pipeline(const std::vector<Block>& blocks, size_t in_flight,
                  const io::ReadableFile& file, PartChecksum& part);
  void Consume(const Block& block, PartChecksum& part) const;
  void AddChecksum(Bytes bytes, PartChecksum& part) const;
  void AddCopy(Bytes from, MutableBytes to, PartChecksum& part) const;
  void SpreadBlock(const ReadRequest& request, uint64_t offset, Bytes bytes) const;
  void SupplyPages(const ReadRequest& request, MutableBytes memory) const;
  Status Gather(const ReadJob& job, const io::ReadableFile& file,
                std::vector<PartChecksum>& parts);

  const std::span<const ReadRequest> requests_;
  const bool verify_;
  const ReadResources resources_;
  JobContext& context_;
  bool small_pages_ = false;  // what the job being read is to be filled into
};

}  // namespace tensorbundle::engine
