// Files in memory, for tests without a disk and as the ceiling in benchmarks.
//
// Files live as long as the Storage or an open file of theirs.  Locks and
// directories behave as on a disk; Sync() and SyncDirectory() have nothing to do.

#pragma once

#include <memory>

#include "io/storage.h"

namespace tensorbundle::io {

std::unique_ptr<Storage> MakeMemoryStorage();

}  // namespace tensorbundle::io
