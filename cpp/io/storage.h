// The seam between the engine and whatever holds files.
//
// A Storage names files by path and hands out files; it has never heard of a
// tensor.  Implementations: posix_storage (buffered, direct, or through io_uring) and
// memory_storage (tests, and the ceiling for benchmarks).  tests/cpp/io holds
// every implementation against one conformance suite.
//
// Ownership: whoever gets a file owns it.  A file may outlive its Storage.
//
// Threads: a Storage may be used by any number of threads; its files as io/file.h says.
//
// Errors: as in io/file.h.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/status.h"
#include "io/file.h"
#include "io/file_system.h"
#include "io/mapped_file.h"

namespace tensorbundle::io {

class TransferQueue;

// What a queue keeps in flight; one that waits for each transfer has no use for it.
struct QueueOptions {
  uint32_t depth = 8;                       // requests, at least 1
  uint64_t block_size = uint64_t{4} << 20;  // bytes of each, a multiple of any granule
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

  // What holds the file at `path`: whether its bytes are on this machine.
  virtual Result<FileSystemKind> FileSystem(const std::string& path) = 0;

  // The whole file in memory; a kPrivate map may be written to, seen by its owner only.
  //
  // Errors: kNotRegularFile  as above
  //         kSystem          ENODEV: the file system cannot map
  virtual Result<std::shared_ptr<const MappedFile>> Map(const std::string& path,
                                                        MapAccess access) = 0;

  // Which file, or directory, stands at `path` now.
  virtual Result<FileIdentity> Identify(const std::string& path) = 0;

  // Creates a file that must not exist yet.
  virtual Result<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;

  // The same for large transfers of data: past the page cache, where this storage can;
  // the file's granule() tells.
  //
  // Errors: kSystem  EINVAL: this storage is for direct I/O and the file system has none
  virtual Result<std::unique_ptr<WritableFile>> CreateDirect(const std::string& path) {
    return Create(path);
  }
  virtual Result<std::unique_ptr<ReadableFile>> OpenDirect(const std::string& path) {
    return OpenForRead(path);
  }

  // Opens a file of ours that nobody needs any longer, to be written anew as one of
  // CreateDirect(); so far its bytes are as they were.  Only where nobody can see them change:
  // nobody on this machine has it open or mapped, and it has no other name.
  //
  // Errors: kSystem  any of them means: make a new one.  EBUSY: somebody has it open or
  // mapped;
  //                  EMLINK: other names; ESTALE: another file than `identity`; EOPNOTSUPP:
  //                  nobody can tell, here
  virtual Result<std::unique_ptr<WritableFile>> ReopenDirect(const std::string& path,
                                                             const FileIdentity& identity);

  // For one thread's transfers, to and from files of any storage.  One that does each
  // transfer at once, where this storage has, or is granted, nothing better.
  virtual std::unique_ptr<TransferQueue> MakeQueue(const QueueOptions& options);

  // Replaces what stands at `to`.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;

  // Gives a file a second name, which must be free: both are the file from then on, and
  // removing either leaves the other.  A symbolic link is followed.
  //
  // Errors: kSystem  IsLinkRefusal() tells of one that another way than a link gets round
  virtual Status Link(const std::string& from, const std::string& to) = 0;

  // Returns when the bytes of a finished file are durable, whoever wrote them.
  //
  // Errors: kNotRegularFile  as above
  virtual Status SyncFile(const std::string& path) = 0;

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

// Whether Link() failed since this file cannot have a second name there: on another file
// system, on one without links, not ours, or with as many names as a file can have.
bool IsLinkRefusal(const Status& status);

// "a/b" for "a/b/c", "." for "c", "/" for "/c".
std::string DirectoryOf(const std::string& path);
// "c" for "a/b/c".
std::string BaseNameOf(const std::string& path);
// "a/b" for "a" and "b".
std::string JoinPath(const std::string& directory, const std::string& name);

}  // namespace tensorbundle::io
