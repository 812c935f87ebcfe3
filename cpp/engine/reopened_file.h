// A file that is open only while it is read, so that thousands can be in use at once.
//
// It stays the file that it was: a map of it, which nobody looks at, keeps its identity from
// being given to another, and takes no descriptor.
//
// Threads: any thread.
//
// Trust: what stands at the path at the time of a read may be anything.  It is read only
// where it is the file that was there first.

#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "io/file.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// Its ReadAt() also fails with kCheckpointGone, where another file has the path now, and as
// OpenForRead() does.
//
// Errors: those of io::Storage::OpenForRead() and Map(), kConcurrentModification
Result<std::unique_ptr<io::ReadableFile>> OpenForEachRead(std::shared_ptr<io::Storage> storage,
                                                          const std::string& path);

}  // namespace tensorbundle::engine
