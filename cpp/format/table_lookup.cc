#include "format/table_lookup.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/status.h"

namespace tensorbundle::format {
namespace {

// To search costs about as much as to step over that many entries.
constexpr uint32_t kMostSteps = 2 * kRestartInterval;

}  // namespace

Result<std::optional<Bytes>> TableLookup::Find(std::string_view key) {
  if (StepTo(key)) return ValueIf(key);
  return Seek(key);
}

// Moves to the first entry of the block whose key is not less than `key`; false where the
// block has to be searched, or another.
bool TableLookup::StepTo(std::string_view key) {
  if (!entry_.has_value() || key < entry_->key()) return false;
  if (key > table_.blocks_[block_].separator) return false;
  for (uint32_t step = 0; entry_->key() < key; ++step) {
    if (step == kMostSteps || !entry_->Next()) return false;
  }
  return true;
}

Result<std::optional<Bytes>> TableLookup::Seek(std::string_view key) {
  entry_.reset();
  const auto& blocks = table_.blocks_;
  const auto block = std::lower_bound(
      blocks.begin(), blocks.end(), key,
      [](const auto& b, std::string_view wanted) { return b.separator < wanted; });
  if (block == blocks.end()) return std::optional<Bytes>();
  block_ = static_cast<size_t>(block - blocks.begin());
  TB_ASSIGN_OR_RETURN(const BlockReader contents, table_.CheckedContents(block_));
  entry_.emplace(contents);
  if (entry_->Seek(key)) return ValueIf(key);
  Status status = entry_->status();
  entry_.reset();
  TB_RETURN_IF_ERROR(std::move(status));
  return std::optional<Bytes>();
}

std::optional<Bytes> TableLookup::ValueIf(std::string_view key) const {
  // NOLINTBEGIN(bugprone-unchecked-optional-access): the callers have found an entry
  if (entry_->key() != key) return std::nullopt;
  return entry_->value();
  // NOLINTEND(bugprone-unchecked-optional-access)
}

}  // namespace tensorbundle::format
