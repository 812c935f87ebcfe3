// Writes one extent of a shard and checksums it on the way.
//
// Bytes that lie in the caller's memory as they will in the file are written from
// there, block by block, each block checksummed just before, while the copy into
// the page cache finds it in the processor's cache.  Everything else (small tensors,
// strided ones, gaps) is gathered in a staging buffer, which is checksummed there.
//
// Ownership: borrows the plan, the tensors, the file and the staging buffer.
//
// Threads: one ExtentWriter per thread; several may write one file, each its own
// extents.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "checksum/crc32c.h"
#include "engine/extents.h"
#include "engine/plan.h"
#include "engine/tensor_view.h"
#include "engine/thread_pool.h"
#include "io/storage.h"

namespace tensorbundle::engine {

constexpr size_t kStagingSize = 1u << 20;  // bytes per thread

// The checksum of the part of a tensor that lies in one extent.
struct PartChecksum {
  uint32_t tensor = 0;
  uint64_t size = 0;  // bytes
  checksum::Crc32c crc;
};

struct ExtentResult {
  std::vector<PartChecksum> parts;  // in the order of their offsets
  uint64_t zero_copy_bytes = 0;     // written from the caller's memory
  uint64_t staged_bytes = 0;        // copied first
};

class ExtentWriter {
 public:
  // REQUIRES: staging.size() == kStagingSize
  ExtentWriter(const Plan& plan, std::span<const TensorView> tensors, MutableBytes staging,
               JobContext& context)
      : plan_(plan), tensors_(tensors), staging_(staging), context_(context) {}

  // Errors: kCancelled, and whatever the file returns
  Result<ExtentResult> Write(const Extent& extent, io::WritableFile& file);

 private:
  Status WritePart(const TensorView& tensor, uint64_t offset, uint64_t begin, uint64_t end,
                   PartChecksum& part);
  Status WriteFromMemory(Bytes bytes, PartChecksum& part);
  Status Stage(const TensorView& tensor, uint64_t begin, uint64_t end, PartChecksum& part);
  Status StageGap(uint64_t size);
  Status Flush();

  const Plan& plan_;
  const std::span<const TensorView> tensors_;
  const MutableBytes staging_;
  JobContext& context_;

  io::WritableFile* file_ = nullptr;
  uint64_t position_ = 0;  // in the file: where the next byte goes
  size_t staged_ = 0;      // bytes in staging_, which end at position_
  ExtentResult result_;
};

}  // namespace tensorbundle::engine
