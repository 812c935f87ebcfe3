// Saves tensors as one bundle: plan, parallel writes, checksums, index, commit.
//
// The tensors' memory is borrowed until Save() returns and must not change meanwhile:
// a checksum is of the bytes as they were when they were written.
//
// Threads: a Save() is called on one thread and starts its own.  Any number of saves
// may run at once; two of the same prefix do not (kLocked).

#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/commit.h"
#include "engine/observer.h"
#include "engine/stages.h"
#include "engine/tensor_view.h"
#include "engine/transfer_options.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// Of a save that does not say.  Measured: benchmarks/README.md, "How many shards".
constexpr uint32_t kDefaultNumShards = 1;

// Which large tensors are written from the caller's memory.
enum class ZeroCopy : uint8_t {
  kWhereFaster,  // not those in small pages on a device that these slow down
  kAlways,
  kNever,
};

struct SaveOptions {
  uint32_t num_shards = 0;  // 0: kDefaultNumShards
  uint64_t alignment = 64;  // bytes, a power of two; 1 packs as TensorFlow does
  Durability durability = Durability::kFull;
  size_t num_threads = 0;  // 0: one per processor, more where writes are direct
  bool snapshot = false;   // copy everything first: memory may change meanwhile
  ZeroCopy zero_copy = ZeroCopy::kWhereFaster;
  bool direct = false;          // whether the storage writes past the page cache
  uint64_t memory_granule = 1;  // bytes: what its writes demand of addresses
  TransferOptions transfer;
  // The prefix of an earlier bundle, whose data files are shared where tensors have not
  // changed since (engine/incremental.h); it need not exist.  Empty: an ordinary save.
  std::string previous;
  // Files of replaced bundles to write into, and where to put more; may be null.
  SpareFiles* spares = nullptr;
  Observer* observer = nullptr;  // may be null
  // Called once, by any thread, when all borrowed tensors are written, which come first;
  // not where the save fails before.
  std::function<void()> on_borrowed_written;
};

struct SaveReport {
  uint64_t num_tensors = 0;
  uint32_t num_shards = 0;    // files that hold bytes
  uint64_t tensor_bytes = 0;  // of all tensors
  uint64_t file_bytes = 0;    // of all files, index included
  uint64_t linked_bytes = 0;  // of file_bytes: of data files shared with an earlier bundle
  uint64_t recycled_bytes =
      0;  // of file_bytes: of data files that are replaced ones, written anew
  uint64_t zero_copy_bytes = 0;  // written from the caller's memory
  uint64_t staged_bytes = 0;     // copied to a buffer first: small or strided tensors
  size_t num_threads = 0;
  double seconds = 0;              // from call to return
  double write_seconds = 0;        // of these: data written and synced
  double fingerprint_seconds = 0;  // of these: tensors compared with an earlier bundle's
  double plan_seconds = 0;         // of these: before anything was written
  double publish_seconds = 0;      // of these: the index written, all renamed and synced
  double remove_seconds = 0;       // of these: the replaced bundle's files removed
  TransferSeconds stages;          // of all threads
  std::string incremental_reason;  // why nothing was shared, where that was asked for
  std::string queue_reason;        // why a thread had no queue of the wanted kind
};

// `in_parts` are the tensors whose parts are among `tensors`.
//
// Errors: kInvalidArgument  an empty name, one that reads as a partition's key, a bad
//                           option
//         kAlreadyExists    a name given twice
//         kLocked           another save of this prefix is under way
//         kCancelled        the observer said stop
//         kSystem           with the path and errno; the old bundle is as it was
Result<SaveReport> Save(io::Storage& storage, const std::string& prefix,
                        std::span<const TensorView> tensors, const SaveOptions& options,
                        std::span<const PartitionedTensor> in_parts = {});

}  // namespace tensorbundle::engine
