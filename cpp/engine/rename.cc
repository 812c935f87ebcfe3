#include "engine/rename.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "engine/bundle.h"
#include "engine/commit.h"
#include "engine/entry_merge.h"
#include "engine/index_writer.h"
#include "format/naming.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

using Renames = std::map<std::string, std::string, std::less<>>;

Status CheckNewName(const NewName& name) {
  if (name.to.empty()) {
    return Status(Code::kInvalidArgument, "its new name would be empty").WithKey(name.from);
  }
  if (Bundle::IsName(name.to)) return Status();
  return Status(Code::kInvalidArgument,
                "its new name, " + Quoted(name.to) + ", is a key that parts of tensors have")
      .WithKey(name.from);
}

Result<Renames> CheckRenames(std::span<const NewName> names) {
  Renames renames;
  for (const NewName& name : names) {
    TB_RETURN_IF_ERROR(CheckNewName(name));
    if (!renames.emplace(name.from, name.to).second) {
      return Status(Code::kInvalidArgument, "it is to be renamed twice").WithKey(name.from);
    }
  }
  return renames;
}

// An index on its way to other names.
class RenamedIndex {
 public:
  explicit RenamedIndex(const Renames& renames) : renames_(renames) {}

  Status Take(const Bundle& bundle) {
    format::TableCursor cursor = bundle.MakeCursor();
    while (cursor.Next()) TB_RETURN_IF_ERROR(Add(cursor.key(), cursor.value()));
    TB_RETURN_IF_ERROR(Status(cursor.status()));
    for (const auto& [from, to] : renames_) {
      if (taken_.contains(from)) continue;
      return Status(Code::kNotFound, "not in the bundle").WithKey(from);
    }
    std::ranges::sort(entries_, {}, &Item::key);
    return Status();
  }

  // All but the header.
  Status WriteTo(IndexWriter& index) const {
    for (const Item& item : entries_) TB_RETURN_IF_ERROR(index.AddValue(item.key, item.value));
    return Status();
  }

  Bytes header() const { return header_; }  // as it is stored

  uint64_t num_tensors() const { return old_names_.size(); }

 private:
  struct Item {
    std::string key;
    Bytes value;  // of the old index
  };

  Status Add(std::string_view key, Bytes value) {
    if (key.empty()) {
      header_ = value;
      return Status();
    }
    std::string new_key;
    if (Bundle::IsName(key)) {
      new_key = NewNameOf(key);
      TB_RETURN_IF_ERROR(CheckUnique(std::string(key), new_key));
    } else {
      // NOLINTNEXTLINE(bugprone-unchecked-optional-access): no name
      const format::SliceKey part = format::DecodeSliceKey(key).value();
      new_key = format::EncodeSliceKey(NewNameOf(part.name), part.slice);
    }
    entries_.push_back({std::move(new_key), value});
    return Status();
  }

  std::string NewNameOf(std::string_view name) {
    const auto found = renames_.find(name);
    return found == renames_.end() ? std::string(name) : found->second;
  }

  Status CheckUnique(std::string name, const std::string& new_name) {
    if (renames_.contains(name)) taken_.emplace(name, new_name);
    const auto [other, is_new] = old_names_.emplace(new_name, name);
    if (is_new) return Status();
    return Status(Code::kAlreadyExists, "it and the tensor " + Quoted(other->second) +
                                            " would both be named " + Quoted(new_name))
        .WithKey(std::move(name));
  }

  const Renames& renames_;
  Bytes header_;  // of the old index
  std::vector<Item> entries_;
  Renames taken_;      // of renames_, those whose tensor is there
  Renames old_names_;  // by the new ones
};

Result<std::unique_ptr<Publication>> Begin(io::Storage& storage, const std::string& prefix,
                                           uint32_t num_shards) {
  return Publication::Begin(storage, prefix, num_shards, Durability::kFull);
}

Result<RenameReport> RenameInPlace(const std::shared_ptr<io::Storage>& storage,
                                   const std::string& prefix, const Renames& renames) {
  // Before anything is made: there may be nothing at all.
  TB_RETURN_IF_ERROR(Bundle::Open(storage, prefix).status());
  TB_ASSIGN_OR_RETURN(const auto publication, Begin(*storage, prefix, 1));
  TB_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(storage, prefix));
  RenamedIndex renamed(renames);
  TB_RETURN_IF_ERROR(renamed.Take(*bundle).WithPath(format::IndexPath(prefix)));
  RenameReport report;
  report.num_tensors = renamed.num_tensors();
  const auto fill = [&](IndexWriter& index) -> Status {
    TB_RETURN_IF_ERROR(index.AddValue("", renamed.header()));
    return renamed.WriteTo(index);
  };
  TB_ASSIGN_OR_RETURN(report.index_bytes, publication->WriteIndex(fill));
  TB_RETURN_IF_ERROR(publication->Commit());
  return report;
}

// Under the numbers that they have: the entries stay as they are.
Result<std::vector<AdoptedShard>> ShardsOf(const Bundle& bundle) {
  UsedShards used;
  const Bundle* const bundles[] = {&bundle};
  TB_RETURN_IF_ERROR(ForEachEntry(bundles, [&](size_t, std::string_view, const auto& entry) {
    AddUse(entry, used);
    return Status();
  }));
  std::vector<AdoptedShard> shards;
  for (const auto& [number, size] : used) shards.push_back({&bundle, number, number, size});
  return shards;
}

Result<RenameReport> RenameTo(const std::shared_ptr<io::Storage>& storage,
                              const std::string& prefix, const Renames& renames,
                              const RenameOptions& options) {
  TB_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(storage, prefix));
  RenamedIndex renamed(renames);
  TB_RETURN_IF_ERROR(renamed.Take(*bundle).WithPath(format::IndexPath(prefix)));
  TB_ASSIGN_OR_RETURN(const std::vector<AdoptedShard> shards, ShardsOf(*bundle));
  format::Header header = bundle->header();
  TB_ASSIGN_OR_RETURN(const auto publication,
                      Begin(*storage, options.destination, header.num_shards));
  header.num_shards = publication->num_shards();
  RenameReport report;
  report.num_tensors = renamed.num_tensors();
  TB_ASSIGN_OR_RETURN(report.adopted,
                      AdoptShards(*storage, shards, *publication, options.adoption));
  // Only now: a data file that was there while the index stood belongs to it.
  TB_RETURN_IF_ERROR(bundle->CheckCurrent());
  TB_RETURN_IF_ERROR(publication->PublishShards());
  const auto fill = [&](IndexWriter& index) -> Status {
    TB_RETURN_IF_ERROR(index.AddHeader(header));
    return renamed.WriteTo(index);
  };
  TB_ASSIGN_OR_RETURN(report.index_bytes, publication->WriteIndex(fill));
  TB_RETURN_IF_ERROR(publication->Commit());
  publication->RemoveReplaced();
  return report;
}

}  // namespace

Result<RenameReport> Rename(const std::shared_ptr<io::Storage>& storage,
                            const std::string& prefix, std::span<const NewName> names,
                            const RenameOptions& options) {
  TB_ASSIGN_OR_RETURN(const Renames renames, CheckRenames(names));
  TB_ASSIGN_OR_RETURN(RenameReport report, options.destination.empty()
                                               ? RenameInPlace(storage, prefix, renames)
                                               : RenameTo(storage, prefix, renames, options));
  report.num_renamed = renames.size();
  return report;
}

}  // namespace tensorbundle::engine
