// A storage that fails where a test says, and remembers what was asked of it.
//
// It wraps another storage, which it does not own, and passes every call on that
// is not to fail.  A call that fails has no effect at all.
//
// Direct files are counted as the others are, a kCopy map as a read, SyncFile() as a sync. Its
// files have no descriptor, so every queue, its own or another storage's, transfers by their
// calls and meets the faults.  Or else it acts as a device, with granules and a ring, whose
// writes meet them when they complete.
//
// To fail each call of a save in turn: run it once and read calls(); then, for k from
// 1 to that number, FailCall({.nth = k}) on a fresh FaultyStorage.
//
// Threads: guarded, so threads may share it as they may any Storage.  With threads,
// which call is the k-th is up to them.

#pragma once

#include <cerrno>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/device_ring.h"
#include "io/storage.h"

namespace tensorbundle::io {

enum class Operation : uint8_t {
  kOpen,
  kRead,
  kMap,
  kIdentify,
  kCreate,
  kReopen,
  kAllocate,
  kWrite,
  kTruncate,
  kSync,
  kClose,
  kRename,
  kRemove,
  kLink,
  kExists,
  kList,
  kMakeDirectory,
  kRemoveDirectory,
  kSyncDirectory,
  kLock,
  kSubmit,  // of a device's ring
  kWait,    // of a device's ring
};

// "make_directory" for kMakeDirectory.
std::string_view OperationName(Operation operation);

// Which call fails, and how.
struct Fault {
  std::optional<Operation> operation;  // absent: a call of any kind
  uint64_t nth = 1;                    // of the calls counted from the start, from 1 on
  int error_number = EIO;
  bool for_ever = false;  // and every such call after it, as when the process dies
};

// One call, whether it failed or not.
struct Call {
  Operation operation;
  std::string path;
  uint64_t offset = 0;      // kRead, kWrite
  uint64_t size = 0;        // kRead, kWrite, kAllocate, kTruncate: bytes
  std::string destination;  // kRename, kLink
  bool operator==(const Call&) const = default;
};

class FaultyStorage final : public Storage {
 public:
  // `wrapped` outlives this; the files it hands out may outlive both.
  explicit FaultyStorage(Storage& wrapped);

  // Adds a fault.  What has been added stays until ClearFaults().
  void FailCall(const Fault& fault);
  void ClearFaults();

  // From now on direct files demand granules, and their queues may be rings.
  void ActAsDevice(const Device& device) { device_ = device; }

  // From now on the files whose paths begin with `prefix` are said to be on such a one.
  void PretendFileSystem(std::string prefix, FileSystemKind kind);

  // How many calls there have been, and how many of one kind.
  uint64_t calls() const;
  uint64_t calls(Operation operation) const;

  // From now on its queues are synchronous, and say so; empty: as the wrapped one's.
  void RefuseQueues(std::string reason) { queue_refusal_ = std::move(reason); }
  QueueOptions last_queue() const;  // one that was asked for

  // Every call so far, in the order of their counting.
  std::vector<Call> log() const;

  Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override;
  Result<FileSystemKind> FileSystem(const std::string& path) override;
  Result<std::shared_ptr<const MappedFile>> Map(const std::string& path,
                                                MapAccess access) override;
  Result<FileIdentity> Identify(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> CreateDirect(const std::string& path) override;
  Result<std::unique_ptr<ReadableFile>> OpenDirect(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> ReopenDirect(const std::string& path,
                                                     const FileIdentity& identity) override;
  std::unique_ptr<TransferQueue> MakeQueue(const QueueOptions& options) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status Link(const std::string& from, const std::string& to) override;
  Status SyncFile(const std::string& path) override;
  Result<bool> Exists(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<bool> MakeDirectory(const std::string& path) override;
  Status RemoveDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& directory) override;
  Result<std::unique_ptr<Lock>> TryLock(const std::string& path) override;

  class Script;  // what the storage shares with its files

 private:
  std::unique_ptr<WritableFile> Watched(std::unique_ptr<WritableFile> file) const;

  Storage& wrapped_;
  std::string queue_refusal_;
  mutable std::mutex mutex_;
  QueueOptions last_queue_;  // guarded by mutex_
  const std::shared_ptr<Script> script_;
  std::string pretended_prefix_;
  std::optional<FileSystemKind> pretended_;
  std::optional<Device> device_;
  const std::shared_ptr<DeviceFiles> device_files_ = std::make_shared<DeviceFiles>();
};

}  // namespace tensorbundle::io
