#include "io/recording_storage.h"

#include <mutex>
#include <utility>

namespace tensorbundle::io {

class RecordingStorage::Tape {
 public:
  uint64_t NextFile() {
    const std::lock_guard guard(mutex_);
    return ++last_file_;
  }
  // Adds `effect` where `status` is that of a call that worked; gives the status back.
  Status Add(Status status, Effect effect) {
    if (status.ok()) {
      const std::lock_guard guard(mutex_);
      log_.push_back(std::move(effect));
    }
    return status;
  }
  std::vector<Effect> log() const {
    const std::lock_guard guard(mutex_);
    return log_;
  }

 private:
  mutable std::mutex mutex_;
  uint64_t last_file_ = 0;
  std::vector<Effect> log_;
};

namespace {

using Kind = Effect::Kind;
using TapePtr = std::shared_ptr<RecordingStorage::Tape>;

class RecordingFile final : public WritableFile {
 public:
  RecordingFile(TapePtr tape, uint64_t number, std::unique_ptr<WritableFile> wrapped)
      : tape_(std::move(tape)), number_(number), wrapped_(std::move(wrapped)) {}

  Granule granule() const override { return wrapped_->granule(); }
  bool prefers_huge_pages() const override { return wrapped_->prefers_huge_pages(); }
  bool is_reused() const override { return wrapped_->is_reused(); }
  Status Allocate(uint64_t size) override {
    return tape_->Add(
        wrapped_->Allocate(size),
        {.kind = Kind::kAllocate, .path = path(), .file = number_, .size = size});
  }
  Status WriteAt(uint64_t offset, Bytes bytes) override {
    Effect effect = {.kind = Kind::kWrite, .path = path(), .file = number_, .offset = offset};
    effect.bytes = AsText(bytes);
    return tape_->Add(wrapped_->WriteAt(offset, bytes), std::move(effect));
  }
  Status Truncate(uint64_t size) override {
    return tape_->Add(
        wrapped_->Truncate(size),
        {.kind = Kind::kTruncate, .path = path(), .file = number_, .size = size});
  }
  Status Sync() override {
    return tape_->Add(wrapped_->Sync(),
                      {.kind = Kind::kSync, .path = path(), .file = number_});
  }
  Status Close() override { return wrapped_->Close(); }
  const std::string& path() const override { return wrapped_->path(); }

 private:
  const TapePtr tape_;
  const uint64_t number_;
  const std::unique_ptr<WritableFile> wrapped_;
};

class RecordingLock final : public Lock {
 public:
  RecordingLock(TapePtr tape, std::string path, std::unique_ptr<Lock> wrapped)
      : tape_(std::move(tape)), path_(std::move(path)), wrapped_(std::move(wrapped)) {}
  ~RecordingLock() override {
    wrapped_.reset();
    static_cast<void>(tape_->Add(Status(), {.kind = Kind::kRemove, .path = path_}));
  }

 private:
  const TapePtr tape_;
  const std::string path_;
  std::unique_ptr<Lock> wrapped_;
};

}  // namespace

RecordingStorage::RecordingStorage(Storage& wrapped)
    : wrapped_(wrapped), tape_(std::make_shared<Tape>()) {}

std::vector<Effect> RecordingStorage::log() const { return tape_->log(); }

Result<std::unique_ptr<ReadableFile>> RecordingStorage::OpenForRead(const std::string& path) {
  return wrapped_.OpenForRead(path);
}

Result<FileSystemKind> RecordingStorage::FileSystem(const std::string& path) {
  return wrapped_.FileSystem(path);
}

Result<std::shared_ptr<const MappedFile>> RecordingStorage::Map(const std::string& path,
                                                                MapAccess access) {
  return wrapped_.Map(path, access);
}

Result<FileIdentity> RecordingStorage::Identify(const std::string& path) {
  return wrapped_.Identify(path);
}

Result<std::unique_ptr<WritableFile>> RecordingStorage::Create(const std::string& path) {
  TB_ASSIGN_OR_RETURN(auto file, wrapped_.Create(path));
  const uint64_t number = tape_->NextFile();
  TB_RETURN_IF_ERROR(
      tape_->Add(Status(), {.kind = Kind::kCreate, .path = path, .file = number}));
  return std::unique_ptr<WritableFile>(
      std::make_unique<RecordingFile>(tape_, number, std::move(file)));
}

Result<std::unique_ptr<WritableFile>> RecordingStorage::ReopenDirect(
    const std::string& path, const FileIdentity& identity) {
  TB_ASSIGN_OR_RETURN(auto file, wrapped_.ReopenDirect(path, identity));
  return std::unique_ptr<WritableFile>(
      std::make_unique<RecordingFile>(tape_, 0, std::move(file)));
}

Status RecordingStorage::Rename(const std::string& from, const std::string& to) {
  return tape_->Add(wrapped_.Rename(from, to),
                    {.kind = Kind::kRename, .path = from, .destination = to});
}

Status RecordingStorage::Remove(const std::string& path) {
  return tape_->Add(wrapped_.Remove(path), {.kind = Kind::kRemove, .path = path});
}

Status RecordingStorage::Link(const std::string& from, const std::string& to) {
  return tape_->Add(wrapped_.Link(from, to),
                    {.kind = Kind::kLink, .path = from, .destination = to});
}

Status RecordingStorage::SyncFile(const std::string& path) {
  return tape_->Add(wrapped_.SyncFile(path), {.kind = Kind::kSync, .path = path});
}

Result<bool> RecordingStorage::Exists(const std::string& path) {
  return wrapped_.Exists(path);
}

Result<std::vector<std::string>> RecordingStorage::List(const std::string& directory) {
  return wrapped_.List(directory);
}

Result<bool> RecordingStorage::MakeDirectory(const std::string& path) {
  TB_ASSIGN_OR_RETURN(const bool made, wrapped_.MakeDirectory(path));
  if (!made) return false;
  TB_RETURN_IF_ERROR(tape_->Add(Status(), {.kind = Kind::kMakeDirectory, .path = path}));
  return true;
}

Status RecordingStorage::RemoveDirectory(const std::string& path) {
  return tape_->Add(wrapped_.RemoveDirectory(path),
                    {.kind = Kind::kRemoveDirectory, .path = path});
}

Status RecordingStorage::SyncDirectory(const std::string& directory) {
  return tape_->Add(wrapped_.SyncDirectory(directory),
                    {.kind = Kind::kSyncDirectory, .path = directory});
}

Result<std::unique_ptr<Lock>> RecordingStorage::TryLock(const std::string& path) {
  TB_ASSIGN_OR_RETURN(const bool was_there, wrapped_.Exists(path));
  TB_ASSIGN_OR_RETURN(auto lock, wrapped_.TryLock(path));
  if (!was_there) {
    TB_RETURN_IF_ERROR(tape_->Add(
        Status(), {.kind = Kind::kCreate, .path = path, .file = tape_->NextFile()}));
  }
  return std::unique_ptr<Lock>(std::make_unique<RecordingLock>(tape_, path, std::move(lock)));
}

}  // namespace tensorbundle::io
