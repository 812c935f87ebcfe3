#include "engine/bundle.h"

#include <cerrno>
#include <utility>

#include "engine/index_source.h"
#include "engine/reopened_file.h"
#include "format/naming.h"
#include "format/slices.h"

namespace tensorbundle::engine {

// The key of a part begins with a zero byte (format/slices.h).
bool Bundle::IsName(std::string_view key) {
  return !key.empty() && (key.front() != '\0' || !format::DecodeSliceKey(key).has_value());
}

Result<std::unique_ptr<Bundle>> Bundle::Open(std::shared_ptr<io::Storage> storage,
                                             std::string prefix, IndexHold hold) {
  std::unique_ptr<Bundle> bundle(new Bundle(std::move(storage), std::move(prefix)));
  TB_RETURN_IF_ERROR(bundle->ReadIndex(hold).WithPath(bundle->index_path()));
  return bundle;
}

Status Bundle::ReadIndex(IndexHold hold) {
  TB_ASSIGN_OR_RETURN(index_, hold == IndexHold::kOpen
                                  ? storage_->OpenForRead(index_path())
                                  : OpenForEachRead(storage_, index_path()));
  TB_ASSIGN_OR_RETURN(table_,
                      format::TableReader::Open(std::make_unique<IndexSource>(index_)));
  TB_ASSIGN_OR_RETURN(const std::optional<Bytes> header, table_->Find(""));
  if (!header.has_value()) {
    return Status(Code::kMissingHeader, "the index has no header entry");
  }
  TB_ASSIGN_OR_RETURN(header_, format::DecodeHeader(*header));
  return Status();
}

Result<format::Entry> Bundle::Decode(std::string_view key, Bytes value) const {
  auto entry = format::DecodeEntry(value);
  Status fault = entry.status();
  if (fault.ok()) {
    if (!entry->slices.empty() || entry->shard_id < header_.num_shards) return entry;
    fault = Status(Code::kBadShardId, "shard " + std::to_string(entry->shard_id) +
                                          " of a bundle with " +
                                          std::to_string(header_.num_shards) + " shards");
  }
  return std::move(fault).WithKey(std::string(key)).WithPath(index_path());
}

Result<format::Entry> Bundle::Find(std::string_view name) const {
  format::TableLookup lookup = MakeLookup();
  return Find(name, lookup);
}

Result<format::Entry> Bundle::Find(std::string_view name, format::TableLookup& lookup) const {
  const auto place = [&](Status status) {
    return std::move(status).WithKey(std::string(name)).WithPath(index_path());
  };
  if (!IsName(name)) {
    return place(Status(Code::kNotFound, "not in the bundle"));
  }
  auto value = lookup.Find(name);
  if (!value.ok()) return place(std::move(value).status());
  if (!value->has_value()) return place(Status(Code::kNotFound, "not in the bundle"));
  return Decode(name, **value);
}

Result<format::Entry> Bundle::FindPart(std::string_view name, const format::Slice& slice,
                                       format::TableLookup& lookup) const {
  TB_ASSIGN_OR_RETURN(const std::optional<Bytes> value,
                      lookup.Find(format::EncodeSliceKey(name, slice)));
  if (!value.has_value()) return Status(Code::kMissingSlice, "the index has no entry for it");
  return Decode(name, *value);
}

Status Bundle::ForEach(const Visitor& visit) const {
  return table_
      ->ForEach([&](std::string_view key, Bytes value) {
        return IsName(key) ? visit(key, Decode(key, value)) : Status();
      })
      .WithPath(index_path());
}

Status Bundle::ForEachName(const NameVisitor& visit) const {
  return table_
      ->ForEach(
          [&](std::string_view key, Bytes) { return IsName(key) ? visit(key) : Status(); })
      .WithPath(index_path());
}

Result<Bundle::View> Bundle::Map(const format::Entry& entry, io::MapAccess access) const {
  if (IsForeign(entry)) {
    return Status(Code::kUnsupportedEndianness, "a big-endian tensor is read, not mapped");
  }
  if (!entry.slices.empty()) {
    return Status(Code::kUnsupportedLayout, "stored in " +
                                                std::to_string(entry.slices.size()) +
                                                " parts, which are nowhere one run of bytes");
  }
  std::shared_ptr<const io::MappedFile> file;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& slot = shards_[{entry.shard_id, access}];
    if (slot == nullptr) {
      TB_ASSIGN_OR_RETURN(
          slot, CheckOpened(entry.shard_id, storage_->Map(ShardPath(entry.shard_id), access)));
    }
    file = slot;
  }
  auto bytes = file->View(entry.offset, entry.size);
  if (!bytes.ok()) return std::move(bytes).status().WithShard(entry.shard_id);
  return View{std::move(file), *bytes};
}

Result<std::unique_ptr<io::ReadableFile>> Bundle::OpenShard(uint32_t shard) const {
  return CheckOpened(shard, storage_->OpenForRead(ShardPath(shard)));
}

Result<std::unique_ptr<io::ReadableFile>> Bundle::OpenShardDirect(uint32_t shard) const {
  return CheckOpened(shard, storage_->OpenDirect(ShardPath(shard)));
}

Status Bundle::CheckCurrent() const {
  const auto identity = storage_->Identify(index_path());
  const bool is_gone = identity.ok() ? !(*identity == index_->identity())
                                     : identity.status().error_number() == ENOENT;
  if (!is_gone) return Status();
  return Status(Code::kCheckpointGone, "the checkpoint was replaced since it was opened")
      .WithPath(index_path());
}

// An overwritten bundle's data files get names that an older bundle had.  But before a
// name is given to a newer file, the index has been replaced (engine/commit.h, steps 4
// to 8): where the index is still the one that was opened, now, after the file was
// opened, the file belongs to it.
template <typename File>
Result<File> Bundle::CheckOpened(uint32_t shard, Result<File> file) const {
  TB_RETURN_IF_ERROR(CheckCurrent().WithShard(shard));
  if (!file.ok() && file.status().error_number() == ENOENT) {
    return Status(Code::kMissingShard, "the data file is missing")
        .WithPath(ShardPath(shard))
        .WithShard(shard);
  }
  if (!file.ok()) return std::move(file).status().WithShard(shard);
  return file;
}

std::string Bundle::WhyNotMap(uint32_t shard) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto [found, is_new] = why_not_map_.try_emplace(shard);
  if (is_new) found->second = WhyNotMapFile(ShardPath(shard));
  return found->second;
}

std::string Bundle::WhyNotMapFile(const std::string& path) const {
  const auto kind = storage_->FileSystem(path);
  // A file that cannot be asked about is a better error when it is opened.
  if (!kind.ok() || !kind->is_network) return "";
  return kind->name + " is no local disk, so a map of it could end in SIGBUS";
}

Result<std::vector<std::byte>> Bundle::ReadWholeIndex() const {
  std::vector<std::byte> bytes(index_->size());
  TB_RETURN_IF_ERROR(index_->ReadAt(0, bytes));
  return bytes;
}

std::string Bundle::index_path() const { return format::IndexPath(prefix_); }

std::string Bundle::ShardPath(uint32_t shard) const {
  return format::ShardPath(prefix_, shard, header_.num_shards);
}

}  // namespace tensorbundle::engine
