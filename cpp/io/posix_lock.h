// A lock that is flock(2) on a file which exists only while the lock is held.
//
// Trust: the file may be removed, replaced or locked by others at any moment.

#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "io/storage.h"

namespace tensorbundle::io {

// As Storage::TryLock().  A forked child that destroys its copy of the Lock gives
// nothing back: the lock is its parent's.
//
// Errors: kLocked          another open file holds the lock
//         kNotRegularFile  a FIFO, socket or device has the name
//         kSystem          open (ELOOP: a symbolic link), fstat, stat or flock failed
Result<std::unique_ptr<Lock>> TryLockFile(const std::string& path);

// Locks an open file, at once or not at all, until it is closed; false where its file system
// has no locks.
//
// Errors: kLocked  another open file has it
//         kSystem  flock failed
Result<bool> TryLockOpenFile(int fd, const std::string& path);

// Whether `path` names the open file, which somebody may have removed or replaced.
//
// Errors: kSystem  fstat or stat failed
Result<bool> IsNamed(int fd, const std::string& path);

}  // namespace tensorbundle::io
