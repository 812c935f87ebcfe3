// Which data files of an earlier bundle a save takes over whole, by hard link, and which
// tensors it therefore need not write.
//
// A data file is shared if at least half of it is bytes of unchanged tensors: what is dead in
// the shared files is never more than what is alive in them.  The unchanged tensors of other
// files are written anew, into files of their own, so that what does not change comes to lie
// with its like, and the next save finds files that are all alive.
//
// Threads: values; any thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/previous_bundle.h"

namespace tensorbundle::engine {

// So many at most, those with the most live bytes: a long series of saves does not end in
// files without number.
constexpr size_t kMaxSharedShards = 64;

struct SharedShard {
  uint32_t number = 0;  // in the earlier bundle
  uint64_t size = 0;    // bytes, of the file
};

// One tensor of a save.
struct Candidate {
  uint64_t size = 0;  // bytes
  // Where the same bytes are; after ChooseShared(), where they are left to be.
  std::optional<StoredTensor> stored;
};

// In the order of their numbers.  `file_sizes` is by shard; absent: it cannot be shared.  A
// tensor that does not lie inside its file, or not at a multiple of `alignment`, is written.
std::vector<SharedShard> ChooseShared(std::span<Candidate> candidates,
                                      std::span<const std::optional<uint64_t>> file_sizes,
                                      uint64_t alignment);

}  // namespace tensorbundle::engine
