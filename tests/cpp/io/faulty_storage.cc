#include "io/faulty_storage.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "io/file_request.h"
#include "io/ring_queue.h"
#include "io/transfer_queue.h"

namespace tensorbundle::io {

// The faults to come and the calls so far.
class FaultyStorage::Script {
 public:
  // Counts `call`; the failure that is due for it, or OK.
  Status Count(Call call) {
    const std::lock_guard guard(mutex_);
    const Operation operation = call.operation;
    const std::string path = call.path;
    log_.push_back(std::move(call));
    for (const Fault& fault : faults_) {
      if (fault.operation.has_value() && *fault.operation != operation) continue;
      const uint64_t number = fault.operation.has_value() ? CountOf(operation) : log_.size();
      if (number == fault.nth || (fault.for_ever && number > fault.nth)) {
        return Status::System(fault.error_number, OperationName(operation), path);
      }
    }
    return Status();
  }

  void Add(const Fault& fault) {
    const std::lock_guard guard(mutex_);
    faults_.push_back(fault);
  }

  void ClearFaults() {
    const std::lock_guard guard(mutex_);
    faults_.clear();
  }

  uint64_t calls(Operation operation) const {
    const std::lock_guard guard(mutex_);
    return CountOf(operation);
  }

  std::vector<Call> log() const {
    const std::lock_guard guard(mutex_);
    return log_;
  }

 private:
  uint64_t CountOf(Operation operation) const {
    return static_cast<uint64_t>(std::count_if(
        log_.begin(), log_.end(), [&](const Call& c) { return c.operation == operation; }));
  }

  mutable std::mutex mutex_;
  std::vector<Fault> faults_;
  std::vector<Call> log_;
};

namespace {

using ScriptPtr = std::shared_ptr<FaultyStorage::Script>;

class FaultyReadableFile final : public ReadableFile {
 public:
  FaultyReadableFile(ScriptPtr script, std::unique_ptr<ReadableFile> wrapped)
      : script_(std::move(script)), wrapped_(std::move(wrapped)) {}

  Status ReadAt(uint64_t offset, MutableBytes out) const override {
    TB_RETURN_IF_ERROR(script_->Count({Operation::kRead, path(), offset, out.size(), {}}));
    return wrapped_->ReadAt(offset, out);
  }
  Granule granule() const override { return wrapped_->granule(); }
  uint64_t size() const override { return wrapped_->size(); }
  const std::string& path() const override { return wrapped_->path(); }
  FileIdentity identity() const override { return wrapped_->identity(); }

 private:
  const ScriptPtr script_;
  const std::unique_ptr<ReadableFile> wrapped_;
};

class FaultyWritableFile final : public WritableFile {
 public:
  FaultyWritableFile(ScriptPtr script, std::unique_ptr<WritableFile> wrapped)
      : script_(std::move(script)), wrapped_(std::move(wrapped)) {}

  Granule granule() const override { return wrapped_->granule(); }
  bool prefers_huge_pages() const override { return wrapped_->prefers_huge_pages(); }
  bool is_reused() const override { return wrapped_->is_reused(); }
  Status Allocate(uint64_t size) override {
    TB_RETURN_IF_ERROR(script_->Count({Operation::kAllocate, path(), 0, size, {}}));
    return wrapped_->Allocate(size);
  }
  Status WriteAt(uint64_t offset, Bytes bytes) override {
    TB_RETURN_IF_ERROR(script_->Count({Operation::kWrite, path(), offset, bytes.size(), {}}));
    return wrapped_->WriteAt(offset, bytes);
  }
  Status Truncate(uint64_t size) override {
    TB_RETURN_IF_ERROR(script_->Count({Operation::kTruncate, path(), 0, size, {}}));
    return wrapped_->Truncate(size);
  }
  Status Sync() override {
    TB_RETURN_IF_ERROR(script_->Count({Operation::kSync, path(), 0, 0, {}}));
    return wrapped_->Sync();
  }
  // Where it fails, the wrapped file is closed by its destructor.
  Status Close() override {
    TB_RETURN_IF_ERROR(script_->Count({Operation::kClose, path(), 0, 0, {}}));
    return wrapped_->Close();
  }
  const std::string& path() const override { return wrapped_->path(); }

 private:
  const ScriptPtr script_;
  const std::unique_ptr<WritableFile> wrapped_;
};

// Its place in the device, from creation to Close(), is what a ring writes to.
class DeviceWritableFile final : public WritableFile {
 public:
  DeviceWritableFile(const Device& device, std::shared_ptr<DeviceFiles> files,
                     std::unique_ptr<WritableFile> wrapped)
      : granule_(device.granule),
        prefers_huge_pages_(device.prefers_huge_pages),
        files_(std::move(files)),
        wrapped_(std::move(wrapped)),
        number_(device.is_asynchronous ? files_->Add(*wrapped_) : -1) {}
  ~DeviceWritableFile() override { files_->Remove(number_); }

  Granule granule() const override { return granule_; }
  bool prefers_huge_pages() const override { return prefers_huge_pages_; }
  bool is_reused() const override { return wrapped_->is_reused(); }
  Status Allocate(uint64_t size) override { return wrapped_->Allocate(size); }
  Status WriteAt(uint64_t offset, Bytes bytes) override {
    TB_RETURN_IF_ERROR(CheckWrite(*this, offset, bytes).status());
    return wrapped_->WriteAt(offset, bytes);
  }
  Status Truncate(uint64_t size) override { return wrapped_->Truncate(size); }
  Status Sync() override { return wrapped_->Sync(); }
  Status Close() override {
    files_->Remove(number_);
    return wrapped_->Close();
  }
  const std::string& path() const override { return wrapped_->path(); }
  int descriptor() const override { return number_; }

 private:
  const Granule granule_;
  const bool prefers_huge_pages_;
  const std::shared_ptr<DeviceFiles> files_;
  const std::unique_ptr<WritableFile> wrapped_;
  const int number_;
};

}  // namespace

std::string_view OperationName(Operation operation) {
  switch (operation) {
    case Operation::kOpen: return "open";
    case Operation::kRead: return "read";
    case Operation::kMap: return "map";
    case Operation::kIdentify: return "identify";
    case Operation::kCreate: return "create";
    case Operation::kReopen: return "reopen";
    case Operation::kAllocate: return "allocate";
    case Operation::kWrite: return "write";
    case Operation::kTruncate: return "truncate";
    case Operation::kSync: return "sync";
    case Operation::kClose: return "close";
    case Operation::kRename: return "rename";
    case Operation::kRemove: return "remove";
    case Operation::kLink: return "link";
    case Operation::kExists: return "exists";
    case Operation::kList: return "list";
    case Operation::kMakeDirectory: return "make_directory";
    case Operation::kRemoveDirectory: return "remove_directory";
    case Operation::kSyncDirectory: return "sync_directory";
    case Operation::kLock: return "lock";
    case Operation::kSubmit: return "submit";
    case Operation::kWait: return "wait";
  }
  return "unknown";
}

FaultyStorage::FaultyStorage(Storage& wrapped)
    : wrapped_(wrapped), script_(std::make_shared<Script>()) {}

void FaultyStorage::FailCall(const Fault& fault) { script_->Add(fault); }
void FaultyStorage::ClearFaults() { script_->ClearFaults(); }
void FaultyStorage::PretendFileSystem(std::string prefix, FileSystemKind kind) {
  pretended_prefix_ = std::move(prefix);
  pretended_ = std::move(kind);
}
uint64_t FaultyStorage::calls() const { return script_->log().size(); }
uint64_t FaultyStorage::calls(Operation operation) const { return script_->calls(operation); }
std::vector<Call> FaultyStorage::log() const { return script_->log(); }

Result<std::unique_ptr<ReadableFile>> FaultyStorage::OpenForRead(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kOpen, path, 0, 0, {}}));
  TB_ASSIGN_OR_RETURN(auto file, wrapped_.OpenForRead(path));
  return std::unique_ptr<ReadableFile>(
      std::make_unique<FaultyReadableFile>(script_, std::move(file)));
}

// Not counted: it tells of the directory, and nothing depends on its failing.
Result<FileSystemKind> FaultyStorage::FileSystem(const std::string& path) {
  if (pretended_.has_value() && path.starts_with(pretended_prefix_)) return *pretended_;
  return wrapped_.FileSystem(path);
}

Result<std::shared_ptr<const MappedFile>> FaultyStorage::Map(const std::string& path,
                                                             MapAccess access) {
  const auto operation = access == MapAccess::kCopy ? Operation::kRead : Operation::kMap;
  TB_RETURN_IF_ERROR(script_->Count({operation, path, 0, 0, {}}));
  return wrapped_.Map(path, access);
}

Result<FileIdentity> FaultyStorage::Identify(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kIdentify, path, 0, 0, {}}));
  return wrapped_.Identify(path);
}

Result<std::unique_ptr<WritableFile>> FaultyStorage::Create(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kCreate, path, 0, 0, {}}));
  TB_ASSIGN_OR_RETURN(auto file, wrapped_.Create(path));
  return std::unique_ptr<WritableFile>(
      std::make_unique<FaultyWritableFile>(script_, std::move(file)));
}

Result<std::unique_ptr<WritableFile>> FaultyStorage::CreateDirect(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kCreate, path, 0, 0, {}}));
  TB_ASSIGN_OR_RETURN(auto file, wrapped_.CreateDirect(path));
  return Watched(std::move(file));
}

Result<std::unique_ptr<WritableFile>> FaultyStorage::ReopenDirect(
    const std::string& path, const FileIdentity& identity) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kReopen, path, 0, 0, {}}));
  TB_ASSIGN_OR_RETURN(auto file, wrapped_.ReopenDirect(path, identity));
  return Watched(std::move(file));
}

std::unique_ptr<WritableFile> FaultyStorage::Watched(
    std::unique_ptr<WritableFile> file) const {
  auto faulty = std::make_unique<FaultyWritableFile>(script_, std::move(file));
  if (!device_.has_value()) return faulty;
  return std::make_unique<DeviceWritableFile>(*device_, device_files_, std::move(faulty));
}

Result<std::unique_ptr<ReadableFile>> FaultyStorage::OpenDirect(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kOpen, path, 0, 0, {}}));
  TB_ASSIGN_OR_RETURN(auto file, wrapped_.OpenDirect(path));
  return std::unique_ptr<ReadableFile>(
      std::make_unique<FaultyReadableFile>(script_, std::move(file)));
}

QueueOptions FaultyStorage::last_queue() const {
  const std::lock_guard guard(mutex_);
  return last_queue_;
}

std::unique_ptr<TransferQueue> FaultyStorage::MakeQueue(const QueueOptions& options) {
  {
    const std::lock_guard guard(mutex_);
    last_queue_ = options;
  }
  if (!queue_refusal_.empty()) return MakeSynchronousQueue(queue_refusal_);
  if (!device_.has_value()) return wrapped_.MakeQueue(options);
  if (!device_->is_asynchronous) return MakeSynchronousQueue();
  auto fail = [script = script_](bool is_submission) {
    const auto operation = is_submission ? Operation::kSubmit : Operation::kWait;
    return script->Count({operation, "", 0, 0, {}});
  };
  return MakeRingQueue(std::make_unique<DeviceRing>(*device_, device_files_, std::move(fail)),
                       options);
}

Status FaultyStorage::Rename(const std::string& from, const std::string& to) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kRename, from, 0, 0, to}));
  return wrapped_.Rename(from, to);
}

Status FaultyStorage::Remove(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kRemove, path, 0, 0, {}}));
  return wrapped_.Remove(path);
}

Status FaultyStorage::Link(const std::string& from, const std::string& to) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kLink, from, 0, 0, to}));
  return wrapped_.Link(from, to);
}

Status FaultyStorage::SyncFile(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kSync, path, 0, 0, {}}));
  return wrapped_.SyncFile(path);
}

Result<bool> FaultyStorage::Exists(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kExists, path, 0, 0, {}}));
  return wrapped_.Exists(path);
}

Result<std::vector<std::string>> FaultyStorage::List(const std::string& directory) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kList, directory, 0, 0, {}}));
  return wrapped_.List(directory);
}

Result<bool> FaultyStorage::MakeDirectory(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kMakeDirectory, path, 0, 0, {}}));
  return wrapped_.MakeDirectory(path);
}

Status FaultyStorage::RemoveDirectory(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kRemoveDirectory, path, 0, 0, {}}));
  return wrapped_.RemoveDirectory(path);
}

Status FaultyStorage::SyncDirectory(const std::string& directory) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kSyncDirectory, directory, 0, 0, {}}));
  return wrapped_.SyncDirectory(directory);
}

Result<std::unique_ptr<Lock>> FaultyStorage::TryLock(const std::string& path) {
  TB_RETURN_IF_ERROR(script_->Count({Operation::kLock, path, 0, 0, {}}));
  return wrapped_.TryLock(path);
}

}  // namespace tensorbundle::io
