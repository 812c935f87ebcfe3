// A storage that remembers every change asked of it, bytes included.
//
// It wraps another storage, which it does not own, and passes every call on.  What was
// only read is not remembered.  Its log is what io/crash_states.h makes crash states of.
//
// Threads: guarded, so threads may share it as they may any Storage.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/storage.h"

namespace tensorbundle::io {

// One change, whether it is durable yet or not.
struct Effect {
  enum class Kind : uint8_t {
    // Of the bytes of `file`.
    kAllocate,
    kWrite,
    kTruncate,
    kSync,
    // Of the names in a directory.
    kCreate,
    kRename,
    kLink,
    kRemove,
    kMakeDirectory,
    kRemoveDirectory,
    kSyncDirectory,
  };

  Kind kind;
  std::string path;
  std::string destination = {};  // kRename, kLink
  uint64_t file = 0;             // its number: from kCreate on, and of its bytes; 0 where it
                                 // was there before: then `path` tells
  uint64_t offset = 0;           // kWrite
  uint64_t size = 0;             // kAllocate, kTruncate: bytes
  std::string bytes = {};        // kWrite
};

class RecordingStorage final : public Storage {
 public:
  // `wrapped` outlives this; the files it hands out may outlive both.
  explicit RecordingStorage(Storage& wrapped);

  // Every change so far that did not fail, in the order in which they were made.
  std::vector<Effect> log() const;

  Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override;
  Result<FileSystemKind> FileSystem(const std::string& path) override;
  Result<std::shared_ptr<const MappedFile>> Map(const std::string& path,
                                                MapAccess access) override;
  Result<FileIdentity> Identify(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> ReopenDirect(const std::string& path,
                                                     const FileIdentity& identity) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status Link(const std::string& from, const std::string& to) override;
  Status SyncFile(const std::string& path) override;
  Result<bool> Exists(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<bool> MakeDirectory(const std::string& path) override;
  Status RemoveDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& directory) override;
  // A held lock is a file that can be seen (io/posix_lock.h).
  Result<std::unique_ptr<Lock>> TryLock(const std::string& path) override;

  class Tape;  // what the storage shares with its files and locks

 private:
  Storage& wrapped_;
  const std::shared_ptr<Tape> tape_;
};

}  // namespace tensorbundle::io
