// Files through system calls, in each of the ways of io/backend.h.
//
// Create() and OpenForRead() are pread(2) and pwrite(2), buffered by the kernel's page
// cache, whatever the backend.  CreateDirect() and OpenDirect() set O_DIRECT, but for
// kBuffered; MakeQueue() gives a ring for kUring, where the kernel grants one.
//
// Each call is looped for EINTR, for short counts and for the 2 GiB limit of one
// Linux transfer.  Files are opened O_CLOEXEC and, for reading, O_NONBLOCK, so
// that a FIFO in place of a shard is refused instead of waited for.
//
// Sync() and SyncFile() are fdatasync(2), SyncDirectory() is fsync(2) of the directory.
//
// TryLock() is flock(2) on a file of that name: it belongs to the open file, so a
// second save in the same process is refused too.  The file is removed on release,
// and an acquired lock is checked to be on the file that still has the name.

#pragma once

#include <memory>

#include "io/backend.h"
#include "io/storage.h"

namespace tensorbundle::io {

std::unique_ptr<Storage> MakePosixStorage(Backend backend = Backend::kBuffered);

}  // namespace tensorbundle::io
