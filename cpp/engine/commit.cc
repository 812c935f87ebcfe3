#include "engine/commit.h"

#include <cerrno>
#include <set>
#include <utility>

#include "engine/index_writer.h"
#include "engine/save_id.h"
#include "format/naming.h"

namespace tensorbundle::engine {

Result<std::unique_ptr<io::Lock>> LockBundle(io::Storage& storage, const std::string& prefix) {
  auto lock = storage.TryLock(format::LockPath(prefix));
  if (lock.ok() || lock.status().code() != Code::kLocked) return lock;
  // Told of the checkpoint, not of a file that its user has never heard of.
  return Status(Code::kLocked, "another save of this checkpoint is under way")
      .WithPath(prefix);
}

Publication::Publication(io::Storage& storage, std::string prefix, Durability durability,
                         SpareFiles* spares)
    : storage_(storage),
      prefix_(std::move(prefix)),
      directory_(io::DirectoryOf(prefix_)),
      durability_(durability),
      spares_(spares),
      save_id_(NewSaveId()) {}

Result<std::unique_ptr<Publication>> Publication::Begin(io::Storage& storage,
                                                        std::string prefix,
                                                        uint32_t num_shards,
                                                        Durability durability,
                                                        SpareFiles* spares) {
  std::unique_ptr<Publication> publication(
      new Publication(storage, std::move(prefix), durability, spares));
  TB_RETURN_IF_ERROR(publication->MakeDirectory());
  TB_ASSIGN_OR_RETURN(publication->lock_, LockBundle(storage, publication->prefix_));
  TB_RETURN_IF_ERROR(publication->LookAround(num_shards));
  return publication;
}

Publication::~Publication() {
  if (committed_) return;
  // Nothing can be done about a failure here: the save is failing already, and the
  // next save of this prefix sweeps what is left.
  for (const Unfinished& file : unfinished_) {
    static_cast<void>(storage_.Remove(file.temporary_path));
  }
  for (const std::string& path : published_) static_cast<void>(storage_.Remove(path));
  lock_.reset();
  if (made_directory_) static_cast<void>(storage_.RemoveDirectory(directory_));
}

Status Publication::MakeDirectory() {
  TB_ASSIGN_OR_RETURN(const bool exists, storage_.Exists(directory_));
  if (exists) return Status();
  TB_ASSIGN_OR_RETURN(made_directory_, storage_.MakeDirectory(directory_));
  if (!made_directory_ || durability_ == Durability::kNone) return Status();
  return storage_.SyncDirectory(io::DirectoryOf(directory_));
}

// Whoever made the directory, a save that was killed or the caller a moment ago, may not
// have synced its name.
Status Publication::SyncParentOfNew() {
  if (durability_ == Durability::kNone) return Status();
  Status status = storage_.SyncDirectory(io::DirectoryOf(directory_));
  // One that may not be read cannot be synced; the directory is not ours.
  const int error = status.error_number();
  return error == EACCES || error == EPERM ? Status() : std::move(status);
}

Status Publication::LookAround(uint32_t num_shards) {
  TB_ASSIGN_OR_RETURN(const std::vector<std::string> names, storage_.List(directory_));
  const std::string base = io::BaseNameOf(prefix_);
  const std::string fingerprints = format::FingerprintsPath(base);
  std::set<uint32_t> counts;  // in the names of data files that are there
  bool is_new = true;         // for all we know: nothing but hidden files, such as locks
  for (const std::string& name : names) {
    if (format::IsTemporaryName(name, base)) {
      TB_RETURN_IF_ERROR(Sweep(io::JoinPath(directory_, name)));
      continue;
    }
    is_new = is_new && name.starts_with('.');
    if (const auto shard = format::ParseShardName(name, base)) {
      counts.insert(shard->num_shards);
      old_files_.push_back(io::JoinPath(directory_, name));
    } else if (name == fingerprints) {
      old_files_.push_back(io::JoinPath(directory_, name));
    }
  }
  if (is_new && !made_directory_) TB_RETURN_IF_ERROR(SyncParentOfNew());
  num_shards_ = num_shards;
  while (counts.contains(num_shards_)) ++num_shards_;
  if (num_shards_ > format::kMaxShards) {
    return Status(Code::kLimitExceeded,
                  "no free shard count up to " + std::to_string(format::kMaxShards))
        .WithPath(prefix_);
  }
  return Status();
}

Status Publication::Sweep(const std::string& path) {
  if (spares_ != nullptr && spares_->Has(path)) return Status();
  Status status = storage_.Remove(path);
  // Another process has just found a use for a spare file of its.
  return status.error_number() == ENOENT ? Status() : std::move(status);
}

Result<std::unique_ptr<io::WritableFile>> Publication::CreateShard(uint32_t shard,
                                                                   uint64_t size) {
  const std::string final_path = format::ShardPath(prefix_, shard, num_shards_);
  const std::string path = format::TemporaryPath(final_path, save_id_);
  std::unique_ptr<io::WritableFile> file;
  if (spares_ != nullptr && size > 0) file = spares_->Take(storage_, path, size);
  const bool is_reused = file != nullptr;
  if (!is_reused) {
    TB_ASSIGN_OR_RETURN(file, storage_.CreateDirect(path));
  }
  Remember(path, final_path);
  const std::lock_guard<std::mutex> lock(mutex_);
  sizes_.push_back(size);
  if (is_reused) reused_bytes_ += size;
  return file;
}

Result<uint64_t> Publication::AdoptShard(uint32_t shard, const std::string& path) {
  const std::string final_path = format::ShardPath(prefix_, shard, num_shards_);
  TB_RETURN_IF_ERROR(storage_.Link(path, final_path));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    published_.push_back(final_path);
  }
  // By the new name, which nobody else changes: it is this file that is looked at.
  TB_ASSIGN_OR_RETURN(const auto file, storage_.OpenForRead(final_path));
  if (durability_ != Durability::kNone) TB_RETURN_IF_ERROR(storage_.SyncFile(final_path));
  return file->size();
}

Status Publication::FinishShard(io::WritableFile& file, uint64_t size) const {
  TB_RETURN_IF_ERROR(file.Truncate(size));
  return SyncAndClose(file);
}

Result<uint64_t> Publication::WriteIndex(const IndexFill& fill,
                                         checksum::Fingerprinter* fingerprinter) {
  TB_ASSIGN_OR_RETURN(const auto file, CreateSmall(format::IndexPath(prefix_)));
  IndexWriter index(*file, fingerprinter);
  TB_RETURN_IF_ERROR(fill(index));
  TB_RETURN_IF_ERROR(index.Finish());
  TB_RETURN_IF_ERROR(SyncAndClose(*file));
  return index.size();
}

Status Publication::WriteFingerprints(Bytes content) {
  const std::string final_path = format::FingerprintsPath(prefix_);
  // Replaced, not removed.
  std::erase(old_files_, io::JoinPath(directory_, io::BaseNameOf(final_path)));
  TB_ASSIGN_OR_RETURN(const auto file, CreateSmall(final_path));
  TB_RETURN_IF_ERROR(file->WriteAt(0, content));
  return SyncAndClose(*file);
}

Result<std::unique_ptr<io::WritableFile>> Publication::CreateSmall(
    const std::string& final_path) {
  const std::string path = format::TemporaryPath(final_path, save_id_);
  TB_ASSIGN_OR_RETURN(auto file, storage_.Create(path));
  Remember(path, final_path);
  return file;
}

void Publication::Remember(const std::string& temporary_path, const std::string& final_path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  unfinished_.push_back({temporary_path, final_path});
}

Status Publication::PublishShards() {
  while (!unfinished_.empty()) {
    const Unfinished& file = unfinished_.back();
    TB_RETURN_IF_ERROR(storage_.Rename(file.temporary_path, file.final_path));
    published_.push_back(file.final_path);
    unfinished_.pop_back();
  }
  return SyncDirectory();
}

Status Publication::Commit() {
  TB_RETURN_IF_ERROR(
      storage_.Rename(unfinished_.front().temporary_path, unfinished_.front().final_path));
  committed_ = true;
  // The bundle does without, and the next save sweeps the file.
  for (size_t i = 1; i < unfinished_.size(); ++i) {
    static_cast<void>(
        storage_.Rename(unfinished_[i].temporary_path, unfinished_[i].final_path));
  }
  return SyncDirectory();
}

Status Publication::SyncAndClose(io::WritableFile& file) const {
  if (durability_ != Durability::kNone) TB_RETURN_IF_ERROR(file.Sync());
  return file.Close();
}

Status Publication::SyncDirectory() {
  return durability_ == Durability::kNone ? Status() : storage_.SyncDirectory(directory_);
}

// The new bundle stands; a file that cannot be removed is swept by the next save.
void Publication::RemoveReplaced() {
  if (spares_ != nullptr) spares_->Expect(storage_, directory_, sizes_);
  const bool is_settled = durability_ != Durability::kNone;  // by step 7
  for (const std::string& path : old_files_) {
    if (spares_ != nullptr && spares_->Keep(storage_, path, is_settled)) continue;
    static_cast<void>(storage_.Remove(path));
  }
  lock_.reset();
}

}  // namespace tensorbundle::engine
