// The data files of a bundle whose tensors come one after the other.
//
// Small tensors are collected in memory that looks as the file will; when that is full, or
// when a large tensor comes, it is written behind what the shard has already, the large
// one along with it, from its own memory.  Each such write goes to the shard that is
// shortest.  A file that is written past the page cache takes whole granules: the last,
// half-full one is kept, and written again with what follows, so tensors are packed as
// Save() packs them.
//
// Ownership: owns its open files and the memory; borrows the save that it is a part of,
// whose publication has to outlive it, to remove files that are closed.
//
// Threads: one thread.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "checksum/crc32c.h"
#include "engine/commit.h"
#include "engine/observer.h"
#include "engine/plan.h"
#include "engine/tensor_view.h"
#include "engine/writer.h"
#include "format/entry.h"
#include "io/aligned_buffer.h"
#include "io/storage.h"

namespace tensorbundle::engine {

class StreamShards {
 public:
  // The save that the shards are a part of.
  struct ActiveSave {
    io::Storage& storage;
    Publication& publication;
    const SaveOptions& options;  // num_shards is not 0; observer is not looked at
    SaveReport& report;          // added to; num_threads is set
  };

  // REQUIRES: `memory` is several granules of any device
  StreamShards(const ActiveSave& save, io::AlignedBuffer memory);

  static PlanOptions PlacingOf(const SaveOptions& options);

  // Writes or collects the tensor's bytes, and fills in where they are, and their checksum.
  // Whoever added a tensor may change it from then on.  `observer` may be null.
  //
  // Errors: kLimitExceeded, kCancelled, kSystem, ...: nothing can be added any more
  Status Add(const TensorView& tensor, Observer* observer, format::Entry& entry);

  // Writes what is collected, and makes all files durable.  There is one at least.
  Status Finish(Observer* observer);

 private:
  // A data file and what it has.
  struct Shard {
    std::unique_ptr<io::WritableFile> file;  // null before its first bytes
    uint64_t end = 0;                        // bytes, up to where its last tensor ends
    std::vector<std::byte> rest;             // those of its last granule, if it is not full
  };

  // Bytes on their way into a shard, where they lie, and the place of the next tensor.
  struct Image {
    Shard* shard = nullptr;  // null: nothing is collected
    uint64_t begin = 0;      // offset in the shard, a multiple of the granule
    uint64_t end = 0;        // offset behind the last byte
  };

  Status Collect(const TensorView& tensor, uint64_t offset, format::Entry& entry);
  Status StartImage();
  void MoveImage(uint64_t offset);
  Result<std::optional<checksum::Crc32c>> Flush(const TensorView* large, uint64_t offset,
                                                Observer* observer);
  Status KeepRest(const TensorView* large, uint64_t offset, uint64_t end);
  Status CloseShards(Observer* observer);
  uint64_t GranuleOf(const Shard& shard) const { return shard.file->granule().offset; }
  MutableBytes ImageAt(uint64_t offset, uint64_t size) const;

  const ActiveSave save_;
  const io::AlignedBuffer memory_;
  std::vector<Shard> shards_;
  Image image_;
};

}  // namespace tensorbundle::engine
