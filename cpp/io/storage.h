// The seam between the engine and whatever holds files.
//
// A Storage names files by path and hands out files; it has never heard of a
// tensor.  Implementations: posix_storage (buffered system calls) and
// memory_storage (tests, and the ceiling for benchmarks).  tests/cpp/io holds
// every implementation against one conformance suite.
//
// Ownership: whoever gets a file owns it.  A file may outlive its Storage.
//
// Threads: a Storage may be used by any number of threads.  So may a
// ReadableFile.  A WritableFile takes WriteAt() from any number of threads at once
// on ranges that do not overlap; all its other methods are for one thread, when no
// WriteAt() is under way.
//
// Errors: every method returns kSystem with errno, the operation and the path
// where a system call fails.  Nothing is retried but EINTR and short counts.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/status.h"
#include "io/mapped_file.h"

namespace tensorbundle::io {

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;

  // Fills `out` with the bytes at `offset`, or fails.
  //
  // Errors: kOutOfBounds  the file ends before offset + out.size()
  virtual Status ReadAt(uint64_t offset, MutableBytes out) const = 0;

  virtual uint64_t size() const = 0;  // bytes, when it was opened
  virtual const std::string& path() const = 0;
};

// A new file under construction.  Destroying it closes it and drops any error:
// whoever wants the bytes calls Sync() and Close().
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  // Reserves `size` bytes, so that a full disk is found before anything is
  // written.  Where the file system cannot reserve, does nothing; elsewhere it may
  // lengthen the file to `size`, so Truncate() has the last word.
  virtual Status Allocate(uint64_t size) = 0;

  // Writes all of `bytes` at `offset`.  What is never written reads as zeros.
  virtual Status WriteAt(uint64_t offset, Bytes bytes) = 0;

  // Makes the file exactly `size` bytes long.
  virtual Status Truncate(uint64_t size) = 0;

  // Returns when the bytes and the size are durable.  An error is final: the
  // kernel may have dropped the bytes, so calling it again proves nothing.
  virtual Status Sync() = 0;

  // REQUIRES: not called twice
  virtual Status Close() = 0;

  virtual const std::string& path() const = 0;
};

// Held from TryLock() until it is destroyed; nothing is left behind then.
class Lock {
 public:
  virtual ~Lock() = default;
};

class Storage {
 public:
  virtual ~Storage() = default;

  // Errors: kNotRegularFile  a directory, FIFO, socket or device (never blocks)
  virtual Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) = 0;

  // The whole file in memory; a kPrivate map may be written to, seen by its owner only.
  //
  // Errors: kNotRegularFile  as above
  virtual Result<std::shared_ptr<const MappedFile>> Map(const std::string& path,
                                                        MapAccess access) = 0;

  // Creates a file that must not exist yet.
  virtual Result<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;

  // Replaces what stands at `to`.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;

  // Whether anything stands at `path`.
  virtual Result<bool> Exists(const std::string& path) = 0;

  // The names in a directory, unsorted, without "." and "..".
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;

  // Creates one level; true where it did, false where the directory was there.
  virtual Result<bool> MakeDirectory(const std::string& path) = 0;

  // Removes an empty directory.
  virtual Status RemoveDirectory(const std::string& path) = 0;

  // Makes the names in a directory durable: created, renamed and removed files.
  virtual Status SyncDirectory(const std::string& directory) = 0;

  // Takes the lock named by the file `path`, at once or not at all.
  //
  // Errors: kLocked  another process, or another part of this one, holds it
  virtual Result<std::unique_ptr<Lock>> TryLock(const std::string& path) = 0;
};

// "a/b" for "a/b/c", "." for "c", "/" for "/c".
std::string DirectoryOf(const std::string& path);
// "c" for "a/b/c".
std::string BaseNameOf(const std::string& path);

}  // namespace tensorbundle::io
