// Files in memory, for tests without a disk and as the ceiling in benchmarks.
//
// Files live as long as the Storage or an open file of theirs.  Locks and
// directories behave as on a disk; Sync() and SyncDirectory() have nothing to do.

#pragma once

#include <cstdint>
#include <memory>

#include "io/memory_file.h"
#include "io/storage.h"

namespace tensorbundle::io {

// Files grow by `chunk_size` bytes; from 2 MiB on in huge pages, whose first touch costs
// little: the ceiling for benchmarks.
std::unique_ptr<Storage> MakeMemoryStorage(uint64_t chunk_size = kSmallMemoryChunk);

}  // namespace tensorbundle::io
