#include "engine/previous_bundle.h"

#include <algorithm>
#include <utility>

#include "format/naming.h"
#include "format/table_cursor.h"

namespace tensorbundle::engine {
namespace {

// Beside the fingerprints there is a little more; and no entry takes as little as a byte.
constexpr uint64_t kAllowance = 1024;  // bytes

Result<format::FingerprintList> ReadFingerprints(io::Storage& storage, const std::string& path,
                                                 uint64_t index_size) {
  TB_ASSIGN_OR_RETURN(const auto file, storage.OpenForRead(path));
  const uint64_t limit = index_size * checksum::Fingerprint::kSize + kAllowance;
  if (file->size() > limit) {
    return Status(Code::kLimitExceeded, "more fingerprints than the index has bytes");
  }
  std::vector<std::byte> bytes(file->size());
  TB_RETURN_IF_ERROR(file->ReadAt(0, bytes));
  return format::DecodeFingerprints(bytes);
}

// Whether the list was made for exactly this index.
Result<bool> BelongTogether(const Bundle& bundle, const format::FingerprintList& list) {
  if (list.index_size != bundle.index_size()) return false;
  TB_ASSIGN_OR_RETURN(const auto index, bundle.ReadWholeIndex());
  const checksum::FingerprintKey key(list.key);
  checksum::Fingerprinter fingerprinter(key);
  fingerprinter.Update(index);
  return fingerprinter.value() == list.index;
}

bool IsSame(const format::Entry& entry, const TensorView& tensor) {
  return entry.dtype == tensor.dtype && entry.size == tensor.size &&
         std::equal(entry.shape.begin(), entry.shape.end(), tensor.shape.begin(),
                    tensor.shape.end());
}

}  // namespace

Result<std::unique_ptr<PreviousBundle>> PreviousBundle::Open(
    const std::shared_ptr<io::Storage>& storage, const std::string& prefix) {
  TB_ASSIGN_OR_RETURN(auto bundle, Bundle::Open(storage, prefix));
  if (bundle->header().big_endian) {
    return Status(Code::kUnsupportedEndianness, "the bundle is big-endian").WithPath(prefix);
  }
  const std::string path = format::FingerprintsPath(prefix);
  auto list = ReadFingerprints(*storage, path, bundle->index_size());
  if (!list.ok()) return std::move(list).status().WithPath(path);
  TB_ASSIGN_OR_RETURN(const bool belong_together, BelongTogether(*bundle, *list));
  if (!belong_together) {
    return Status(Code::kInvalidArgument, "the fingerprints are of another index")
        .WithPath(path);
  }
  return std::unique_ptr<PreviousBundle>(
      new PreviousBundle(std::move(bundle), std::move(list).value()));
}

Result<std::vector<std::optional<StoredTensor>>> PreviousBundle::Find(
    std::span<const TensorView> tensors, std::span<const uint32_t> by_name,
    std::span<const checksum::Fingerprint> fingerprints) const {
  std::vector<std::optional<StoredTensor>> found(tensors.size());
  auto next = by_name.begin();
  size_t number = 0;  // of the entry among those with bytes
  format::TableCursor cursor = bundle_->MakeCursor();
  while (cursor.Next()) {
    if (cursor.key().empty()) continue;
    TB_ASSIGN_OR_RETURN(const format::Entry entry,
                        bundle_->Decode(cursor.key(), cursor.value()));
    if (!entry.slices.empty()) continue;
    if (number == list_.fingerprints.size()) break;
    const checksum::Fingerprint& stored = list_.fingerprints[number++];
    while (next != by_name.end() && tensors[*next].name < cursor.key()) ++next;
    if (next == by_name.end() || tensors[*next].name != cursor.key()) continue;
    const TensorView& tensor = tensors[*next];
    if (tensor.size > 0 && IsSame(entry, tensor) && stored == fingerprints[*next]) {
      found[*next] = StoredTensor{entry.shard_id, entry.offset, entry.crc32c};
    }
  }
  TB_RETURN_IF_ERROR(Status(cursor.status()));
  return found;
}

}  // namespace tensorbundle::engine
