#include "engine/entry_merge.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "engine/partition.h"
#include "format/naming.h"
#include "format/slices.h"
#include "format/table_cursor.h"

namespace tensorbundle::engine {
namespace {

// Prefixes are told whole, not Quoted(): they are long, and differ in the middle.
Status Twice(std::string_view key, const Bundle& first, const Bundle& second) {
  const auto part = Bundle::IsName(key) ? std::nullopt : format::DecodeSliceKey(key);
  const std::string what = part.has_value() ? "the same part of this tensor" : "the tensor";
  return Status(Code::kAlreadyExists, what + " is in both " +
                                          EscapeForMessage(first.prefix()) + " and " +
                                          EscapeForMessage(second.prefix()))
      .WithKey(part.has_value() ? part->name : std::string(key));
}

// Adds the parts of a tensor that another bundle has to those found before.
Status Unite(std::string_view key, const Bundle& first, const Bundle& second,
             format::Entry& united, format::Entry entry) {
  if (united.slices.empty() || entry.slices.empty()) return Twice(key, first, second);
  const bool same_dtype = united.dtype == entry.dtype;
  if (!same_dtype || united.shape != entry.shape) {
    return Status(Code::kAlreadyExists, "the parts of this tensor have another " +
                                            std::string(same_dtype ? "shape" : "dtype") +
                                            " in " + EscapeForMessage(second.prefix()) +
                                            " than in " + EscapeForMessage(first.prefix()))
        .WithKey(std::string(key));
  }
  std::move(entry.slices.begin(), entry.slices.end(), std::back_inserter(united.slices));
  return Status();
}

class EntryMerge {
 public:
  explicit EntryMerge(std::span<const Bundle* const> bundles) : bundles_(bundles) {
    for (const Bundle* bundle : bundles) cursors_.push_back(bundle->MakeCursor());
  }

  Status Run(const EntryVisitor& visit) {
    for (size_t i = 0; i < cursors_.size(); ++i) TB_RETURN_IF_ERROR(Advance(i));
    while (!heap_.empty()) {
      const size_t first = Pop();
      key_.assign(cursors_[first].key());  // the cursor moves before it is last used
      TB_ASSIGN_OR_RETURN(format::Entry entry, Take(first));
      bool is_united = false;
      while (!heap_.empty() && cursors_[heap_.front()].key() == key_) {
        is_united = true;
        const size_t next = Pop();
        TB_ASSIGN_OR_RETURN(format::Entry other, Take(next));
        TB_RETURN_IF_ERROR(
            Unite(key_, *bundles_[first], *bundles_[next], entry, std::move(other)));
      }
      if (is_united) {
        // The rest may be in bundles that are not merged now.
        TB_RETURN_IF_ERROR(
            CheckParts(entry.shape, entry.slices, Coverage::kPartial).WithKey(key_));
      }
      TB_RETURN_IF_ERROR(visit(first, key_, entry));
    }
    return Status();
  }

 private:
  // Whose key, or of equal keys whose bundle, comes later: std's heaps have the greatest on
  // top.
  bool IsLater(size_t a, size_t b) const {
    const int order = cursors_[a].key().compare(cursors_[b].key());
    return order != 0 ? order > 0 : a > b;
  }

  size_t Pop() {
    std::pop_heap(heap_.begin(), heap_.end(),
                  [this](size_t a, size_t b) { return IsLater(a, b); });
    const size_t index = heap_.back();
    heap_.pop_back();
    return index;
  }

  // The entry at a cursor, which moves on.
  Result<format::Entry> Take(size_t index) {
    TB_ASSIGN_OR_RETURN(format::Entry entry,
                        bundles_[index]->Decode(key_, cursors_[index].value()));
    TB_RETURN_IF_ERROR(Advance(index));
    return entry;
  }

  // To the next entry that is not the header.
  Status Advance(size_t index) {
    format::TableCursor& cursor = cursors_[index];
    while (cursor.Next()) {
      if (cursor.key().empty()) continue;
      heap_.push_back(index);
      std::push_heap(heap_.begin(), heap_.end(),
                     [this](size_t a, size_t b) { return IsLater(a, b); });
      return Status();
    }
    return Status(cursor.status()).WithPath(format::IndexPath(bundles_[index]->prefix()));
  }

  const std::span<const Bundle* const> bundles_;
  std::vector<format::TableCursor> cursors_;
  std::vector<size_t> heap_;  // of bundles whose cursors are at an entry
  std::string key_;           // being visited
};

}  // namespace

Status ForEachEntry(std::span<const Bundle* const> bundles, const EntryVisitor& visit) {
  return EntryMerge(bundles).Run(visit);
}

}  // namespace tensorbundle::engine
