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

  Status WriteTo(IndexWriter& index) const {
    for (const Item& item : entries_) TB_RETURN_IF_ERROR(index.AddValue(item.key, item.value));
    return Status();
  }

  uint64_t num_tensors() const { return old_names_.size(); }

 private:
  struct Item {
    std::string key;
    Bytes value;  // of the old index
  };

  Status Add(std::string_view key, Bytes value) {
    std::string new_key(key);
    if (Bundle::IsName(key)) {
      new_key = NewNameOf(key);
      TB_RETURN_IF_ERROR(CheckUnique(std::string(key), new_key));
    } else if (!key.empty()) {
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
  std::vector<Item> entries_;
  Renames taken_;      // of renames_, those whose tensor is there
  Renames old_names_;  // by the new ones
};

}  // namespace

Result<RenameReport> Rename(const std::shared_ptr<io::Storage>& storage,
                            const std::string& prefix, std::span<const NewName> names) {
  TB_ASSIGN_OR_RETURN(const Renames renames, CheckRenames(names));
  // Before anything is made: there may be nothing at all.
  TB_RETURN_IF_ERROR(Bundle::Open(storage, prefix).status());
  TB_ASSIGN_OR_RETURN(const auto publication,
                      Publication::Begin(*storage, prefix, 1, Durability::kFull));
  TB_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(storage, prefix));
  RenamedIndex renamed(renames);
  TB_RETURN_IF_ERROR(renamed.Take(*bundle).WithPath(format::IndexPath(prefix)));
  RenameReport report;
  report.num_tensors = renamed.num_tensors();
  report.num_renamed = renames.size();
  TB_ASSIGN_OR_RETURN(report.index_bytes, publication->WriteIndex([&](IndexWriter& index) {
    return renamed.WriteTo(index);
  }));
  TB_RETURN_IF_ERROR(publication->Commit());
  return report;
}

}  // namespace tensorbundle::engine
