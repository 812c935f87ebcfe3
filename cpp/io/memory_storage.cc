#include "io/memory_storage.h"

#include <cassert>
#include <cerrno>
#include <mutex>
#include <utility>

#include "io/file_faults.h"
#include "io/memory_file.h"
#include "io/memory_tree.h"

namespace tensorbundle::io {
namespace {

FileIdentity IdentityOf(const MemoryFile& file) {
  return {0, reinterpret_cast<uintptr_t>(&file)};
}

class MemoryReadableFile final : public ReadableFile {
 public:
  MemoryReadableFile(std::string path, std::shared_ptr<const MemoryFile> file)
      : path_(std::move(path)), file_(std::move(file)), size_(file_->size()) {}

  Status ReadAt(uint64_t offset, MutableBytes out) const override;
  uint64_t size() const override { return size_; }
  const std::string& path() const override { return path_; }
  FileIdentity identity() const override { return IdentityOf(*file_); }

 private:
  const std::string path_;
  const std::shared_ptr<const MemoryFile> file_;
  const uint64_t size_;
};

class MemoryWritableFile final : public WritableFile {
 public:
  MemoryWritableFile(std::string path, std::shared_ptr<MemoryFile> file,
                     bool is_reused = false)
      : path_(std::move(path)), file_(std::move(file)), is_reused_(is_reused) {}

  bool is_reused() const override { return is_reused_; }
  Status Allocate(uint64_t size) override;
  Status WriteAt(uint64_t offset, Bytes bytes) override;
  Status Truncate(uint64_t size) override;
  Status Sync() override { return CheckOpen("fdatasync"); }
  Status Close() override;
  const std::string& path() const override { return path_; }

 private:
  Status CheckOpen(std::string_view operation) const;

  const std::string path_;
  std::shared_ptr<MemoryFile> file_;  // null once closed
  const bool is_reused_;
};

// What the storage and its locks share.
struct Names {
  std::mutex mutex;
  MemoryTree tree;  // guarded by `mutex`
};

class MemoryLock final : public Lock {
 public:
  MemoryLock(std::shared_ptr<Names> names, MemoryPlace place)
      : names_(std::move(names)), place_(std::move(place)) {}
  ~MemoryLock() override;

 private:
  const std::shared_ptr<Names> names_;
  const MemoryPlace place_;
};

class MemoryStorage final : public Storage {
 public:
  explicit MemoryStorage(uint64_t chunk_size) : chunk_size_(chunk_size) {}

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
  Status SyncFile(const std::string& path) override { return Find(path).status(); }
  Result<bool> Exists(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<bool> MakeDirectory(const std::string& path) override;
  Status RemoveDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& directory) override;
  Result<std::unique_ptr<Lock>> TryLock(const std::string& path) override;

 private:
  Result<std::shared_ptr<MemoryFile>> Find(const std::string& path);

  const uint64_t chunk_size_;  // bytes
  const std::shared_ptr<Names> names_ = std::make_shared<Names>();
};

Status MemoryReadableFile::ReadAt(uint64_t offset, MutableBytes out) const {
  const bool nothing_past_the_end = out.empty() && offset > size_;
  const uint64_t size = file_->ReadAt(offset, out);
  if (size == out.size() && !nothing_past_the_end) return Status();
  return ShortRead(path_, offset, {out.size(), size, size_});
}

Status MemoryWritableFile::CheckOpen(std::string_view operation) const {
  return file_ == nullptr ? Status::System(EBADF, operation, path_) : Status();
}

Status MemoryWritableFile::Allocate(uint64_t size) {
  TB_RETURN_IF_ERROR(CheckOpen("fallocate"));
  if (size > kMaxFileSize) return Status::System(EFBIG, "fallocate", path_);
  file_->Extend(size);
  return Status();
}

Status MemoryWritableFile::WriteAt(uint64_t offset, Bytes bytes) {
  TB_RETURN_IF_ERROR(CheckOpen("pwrite"));
  if (!FitsInAFile(offset, bytes.size())) {
    return Status::System(EFBIG, "pwrite", path_).WithOffset(offset);
  }
  if (bytes.empty()) return Status();  // does not lengthen the file
  return file_->WriteAt(offset, bytes).WithPath(path_).WithOffset(offset);
}

Status MemoryWritableFile::Truncate(uint64_t size) {
  TB_RETURN_IF_ERROR(CheckOpen("ftruncate"));
  if (size > kMaxFileSize) return Status::System(EFBIG, "ftruncate", path_);
  file_->Resize(size);
  return Status();
}

Status MemoryWritableFile::Close() {
  assert(file_ != nullptr);
  file_.reset();
  return Status();
}

MemoryLock::~MemoryLock() {
  const std::lock_guard guard(names_->mutex);
  place_.node->locked = false;
  auto& siblings = place_.directory->children;
  const auto named = siblings.find(place_.name);
  if (named != siblings.end() && named->second == place_.node) siblings.erase(named);
}

Result<std::shared_ptr<MemoryFile>> MemoryStorage::Find(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(path, "open"));
  if (place.node == nullptr) return Status::System(ENOENT, "open", path);
  if (place.node->is_directory()) return NotRegularFile(path, "a directory");
  return place.node->file;
}

Result<std::unique_ptr<ReadableFile>> MemoryStorage::OpenForRead(const std::string& path) {
  TB_ASSIGN_OR_RETURN(std::shared_ptr<MemoryFile> file, Find(path));
  return std::unique_ptr<ReadableFile>(
      std::make_unique<MemoryReadableFile>(path, std::move(file)));
}

// A copy either way, so that a kPrivate map is its owner's alone.
Result<FileSystemKind> MemoryStorage::FileSystem(const std::string& path) {
  TB_RETURN_IF_ERROR(Find(path).status());
  return FileSystemKind{"memory", false, true};
}

Result<std::shared_ptr<const MappedFile>> MemoryStorage::Map(const std::string& path,
                                                             MapAccess /*access*/) {
  TB_ASSIGN_OR_RETURN(const std::shared_ptr<MemoryFile> file, Find(path));
  return MappedFile::FromMemory(path, file, file->size(),
                                [&](MutableBytes bytes) { file->ReadAt(0, bytes); });
}

Result<FileIdentity> MemoryStorage::Identify(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(path, "stat"));
  if (place.node == nullptr) return Status::System(ENOENT, "stat", path);
  // A file's is that of its content, which a map goes on having.
  const void* const content = place.node->file.get();
  const void* const what = content != nullptr ? content : place.node.get();
  return FileIdentity{0, reinterpret_cast<uintptr_t>(what)};
}

Result<std::unique_ptr<WritableFile>> MemoryStorage::Create(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(path, "open"));
  if (place.node != nullptr) return Status::System(EEXIST, "open", path);
  auto file = std::make_shared<MemoryFile>(chunk_size_);
  place.directory->children[place.name] =
      std::make_shared<MemoryNode>(MemoryNode{file, {}, false});
  return std::unique_ptr<WritableFile>(
      std::make_unique<MemoryWritableFile>(path, std::move(file)));
}

Result<std::unique_ptr<WritableFile>> MemoryStorage::ReopenDirect(
    const std::string& path, const FileIdentity& identity) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(path, "reopen"));
  if (place.node == nullptr) return Status::System(ENOENT, "reopen", path);
  if (place.node->is_directory()) return NotRegularFile(path, "a directory");
  if (!(IdentityOf(*place.node->file) == identity)) {
    return Status::System(ESTALE, "reopen", path);
  }
  // Each name holds the node, each open file and each map what is in it.
  constexpr long kNameAndPlace = 2;
  if (place.node.use_count() > kNameAndPlace) return Status::System(EMLINK, "reopen", path);
  if (place.node->file.use_count() > 1) return Status::System(EBUSY, "reopen", path);
  return std::unique_ptr<WritableFile>(
      std::make_unique<MemoryWritableFile>(path, place.node->file, true));
}

Status MemoryStorage::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard guard(names_->mutex);
  return names_->tree.Rename(from, to);
}

Status MemoryStorage::Link(const std::string& from, const std::string& to) {
  const std::lock_guard guard(names_->mutex);
  return names_->tree.Link(from, to);
}

Status MemoryStorage::Remove(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(path, "unlink"));
  if (place.node == nullptr) return Status::System(ENOENT, "unlink", path);
  if (place.node->is_directory()) return Status::System(EISDIR, "unlink", path);
  place.directory->children.erase(place.name);
  return Status();
}

Result<bool> MemoryStorage::Exists(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  // The way there can only be missing or blocked: nothing stands at its end.
  const auto place = names_->tree.Find(path, "stat");
  return place.ok() && place->node != nullptr;
}

Result<std::vector<std::string>> MemoryStorage::List(const std::string& directory) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(directory, "opendir"));
  if (place.node == nullptr) return Status::System(ENOENT, "opendir", directory);
  if (!place.node->is_directory()) return Status::System(ENOTDIR, "opendir", directory);
  std::vector<std::string> names;
  for (const auto& [name, child] : place.node->children) names.push_back(name);
  return names;
}

Result<bool> MemoryStorage::MakeDirectory(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(path, "mkdir"));
  if (place.node == nullptr) {
    place.directory->children[place.name] = std::make_shared<MemoryNode>();
    return true;
  }
  if (!place.node->is_directory()) return Status::System(ENOTDIR, "mkdir", path);
  return false;
}

Status MemoryStorage::RemoveDirectory(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(path, "rmdir"));
  if (place.node == nullptr) return Status::System(ENOENT, "rmdir", path);
  if (!place.node->is_directory()) return Status::System(ENOTDIR, "rmdir", path);
  if (place.directory == nullptr) return Status::System(EBUSY, "rmdir", path);
  if (!place.node->children.empty()) return Status::System(ENOTEMPTY, "rmdir", path);
  place.directory->children.erase(place.name);
  return Status();
}

Status MemoryStorage::SyncDirectory(const std::string& directory) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(const MemoryPlace place, names_->tree.Find(directory, "open"));
  if (place.node == nullptr) return Status::System(ENOENT, "open", directory);
  if (!place.node->is_directory()) return Status::System(ENOTDIR, "open", directory);
  return Status();
}

Result<std::unique_ptr<Lock>> MemoryStorage::TryLock(const std::string& path) {
  const std::lock_guard guard(names_->mutex);
  TB_ASSIGN_OR_RETURN(MemoryPlace place, names_->tree.Find(path, "open"));
  if (place.node == nullptr) {
    place.node =
        std::make_shared<MemoryNode>(MemoryNode{std::make_shared<MemoryFile>(), {}, false});
    place.directory->children[place.name] = place.node;
  }
  if (place.node->is_directory()) return Status::System(EISDIR, "open", path);
  if (place.node->locked) return HeldByAnother(path);
  place.node->locked = true;
  return std::unique_ptr<Lock>(std::make_unique<MemoryLock>(names_, std::move(place)));
}

}  // namespace

std::unique_ptr<Storage> MakeMemoryStorage(uint64_t chunk_size) {
  return std::make_unique<MemoryStorage>(chunk_size);
}

}  // namespace tensorbundle::io
