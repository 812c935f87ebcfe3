// Data files of other bundles on their way into one under construction: as hard links or,
// where a link cannot reach, on another file system, or cannot be on this one, as copies.
//
// Ownership: borrows everything.
//
// Threads: AdoptShards() is called on one thread and starts its own.
//
// Trust: the bundles are from disk.  A data file that is missing, no regular file, or shorter
// than its entries say is refused; the tensors' bytes are not looked at.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/bundle.h"
#include "engine/commit.h"
#include "engine/observer.h"
#include "format/entry.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// Of the data files that a bundle's entries refer to, by their numbers: how many bytes they
// have at least.
using UsedShards = std::map<uint32_t, uint64_t>;

// Adds what `entry` needs; one that lists parts needs nothing itself.
void AddUse(const format::Entry& entry, UsedShards& used);

struct AdoptedShard {
  const Bundle* source = nullptr;
  uint32_t from = 0;  // its number in the source
  uint32_t to = 0;    // in the new bundle
  uint64_t size = 0;  // bytes, at least
};

struct AdoptionReport {
  uint64_t linked_bytes = 0;  // of data files that are hard links
  uint64_t copied_bytes = 0;  // of data files that could not be
  std::string copy_reason;    // why not, of the first
};

struct AdoptionOptions {
  size_t num_threads = 0;        // 0: one per processor
  Observer* observer = nullptr;  // may be null
};

// Finishes all data files of `publication`: those given or, where there are none, an empty
// one, as a bundle has one at least.
//
// Errors: kMissingShard, kOutOfBounds, kNotRegularFile  a data file is not as its index says
//         kCheckpointGone  a source was replaced meanwhile
//         kCancelled, kSystem
Result<AdoptionReport> AdoptShards(io::Storage& storage, std::span<const AdoptedShard> shards,
                                   Publication& publication, const AdoptionOptions& options);

}  // namespace tensorbundle::engine
