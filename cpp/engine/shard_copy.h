// Copies a finished data file into a shard under construction.
//
// Threads: any number of copies at once.

#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "engine/commit.h"
#include "engine/thread_pool.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// Returns the size in bytes, all of which are written and synced.  `context` can stop it.
//
// Errors: kNotRegularFile, kCancelled, whatever the files return
Result<uint64_t> CopyShard(io::Storage& storage, const std::string& path, uint32_t shard,
                           Publication& publication, const JobContext& context);

}  // namespace tensorbundle::engine
