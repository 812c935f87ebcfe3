// Makes one bundle of several, without copying the bytes of their tensors.
//
// The data files become shards of the new bundle, as hard links, in the order of the
// sources; those that no entry refers to are left out.  Only the index is written.  What a
// link cannot reach, on another file system, or cannot be on this one, is copied.
//
// The new bundle is published as a save is (engine/commit.h), durably in any case.  Only
// then are sources deleted, each its index first: whenever that ends, the new bundle is
// whole, or all the sources are.
//
// The destination may be one of the sources, which the new bundle then replaces.
//
// Thousands of sources can be merged: none of them takes a descriptor.
//
// Threads: a Merge() is called on one thread and starts its own.
//
// Trust: the sources are from disk.  A data file that is missing, no regular file, or
// shorter than its entries say fails the merge; the tensors' bytes are not looked at.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/observer.h"
#include "io/storage.h"

namespace tensorbundle::engine {

struct MergeOptions {
  bool delete_sources = false;
  bool allow_missing = false;    // pass over sources without an index
  size_t num_threads = 0;        // 0: one per processor
  Observer* observer = nullptr;  // may be null
};

struct MergeReport {
  std::vector<std::string> missing;  // prefixes passed over
  uint64_t num_tensors = 0;
  uint32_t num_shards = 0;           // data files
  uint64_t file_bytes = 0;           // of all files, index included
  uint64_t linked_bytes = 0;         // of data files that are hard links
  uint64_t copied_bytes = 0;         // of data files that could not be
  std::string copy_reason;           // why not, of the first
  std::vector<std::string> remains;  // of sources that could not be deleted: which, and why
  double seconds = 0;
};

// Errors: kInvalidArgument  no sources, or one given twice
//         kSystem           ENOENT: no index at a source, or at none of them
//         kAlreadyExists    a tensor, or a part of one, is in two sources
//         kBadSlice         parts of a tensor overlap
//         kUnsupportedEndianness  the sources differ in it
//         kLocked           a save of the destination is under way
//         kCheckpointGone   a source was replaced meanwhile
//         kMissingShard, kOutOfBounds, kNotRegularFile  a source's data file is not as its
//                           index says
//         kCancelled, kLimitExceeded, those of Bundle::Open() and of its entries
Result<MergeReport> Merge(const std::shared_ptr<io::Storage>& storage,
                          std::span<const std::string> sources, const std::string& destination,
                          const MergeOptions& options);

}  // namespace tensorbundle::engine
