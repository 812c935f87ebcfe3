#include "engine/incremental.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "format/fingerprint_list.h"

namespace tensorbundle::engine {
namespace {

checksum::FingerprintKey RandomKey() {
  std::random_device device;
  const auto word = [&] { return uint64_t{device()} << 32 | device(); };
  return checksum::FingerprintKey({word(), word()});
}

}  // namespace

Result<std::unique_ptr<Incremental>> Incremental::Prepare(
    io::Storage& storage, const std::string& previous, std::span<const TensorView> tensors,
    std::span<const uint32_t> by_name, uint64_t alignment, const FingerprintOptions& options) {
  // Nobody here outlives the call: the bundle need not own the storage.
  const std::shared_ptr<io::Storage> borrowed(std::shared_ptr<void>(), &storage);
  auto opened = PreviousBundle::Open(borrowed, previous);
  std::unique_ptr<Incremental> incremental(
      new Incremental(opened.ok() ? (*opened)->key() : RandomKey()));
  TB_ASSIGN_OR_RETURN(incremental->fingerprints_,
                      TakeFingerprints(tensors, incremental->key_, options));
  std::copy_if(by_name.begin(), by_name.end(), std::back_inserter(incremental->by_name_),
               [&](uint32_t number) { return number < tensors.size(); });
  incremental->kept_.resize(tensors.size());
  incremental->unchanged_.resize(tensors.size());
  Status status = opened.status();
  if (opened.ok()) {
    incremental->previous_ = std::move(opened).value();
    status = incremental->Compare(tensors, alignment);
  }
  if (!status.ok()) incremental->GiveUp(status.ToString());
  return incremental;
}

Status Incremental::Compare(std::span<const TensorView> tensors, uint64_t alignment) {
  TB_ASSIGN_OR_RETURN(auto found, previous_->Find(tensors, by_name_, fingerprints_));
  std::vector<Candidate> candidates(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    unchanged_[i] = found[i].has_value();
    candidates[i] = {tensors[i].size, found[i]};
  }
  shared_ = ChooseShared(candidates, FileSizes(candidates), alignment);
  if (shared_.empty()) {
    return Status(Code::kNotFound,
                  "no data file has half of its bytes in tensors that are unchanged")
        .WithPath(previous_->bundle().prefix());
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& stored = candidates[i].stored;
    if (!stored.has_value()) continue;
    StoredTensor kept = *stored;
    const auto shard = std::find_if(
        shared_.begin(), shared_.end(),
        [&](const SharedShard& candidate) { return candidate.number == kept.shard; });
    kept.shard = static_cast<uint32_t>(shard - shared_.begin());
    kept_[i] = kept;
  }
  return Status();
}

// Of the files that have unchanged tensors; absent where one cannot be opened.
std::vector<std::optional<uint64_t>> Incremental::FileSizes(
    std::span<const Candidate> candidates) const {
  const Bundle& bundle = previous_->bundle();
  std::vector<bool> is_used(bundle.header().num_shards);
  for (const Candidate& candidate : candidates) {
    if (candidate.stored.has_value()) is_used[candidate.stored->shard] = true;
  }
  std::vector<std::optional<uint64_t>> sizes(is_used.size());
  for (uint32_t shard = 0; shard < is_used.size(); ++shard) {
    if (!is_used[shard]) continue;
    const auto file = bundle.OpenShard(shard);
    if (file.ok()) sizes[shard] = (*file)->size();
  }
  return sizes;
}

Status Incremental::Adopt(Publication& publication, uint32_t first) const {
  const Bundle& bundle = previous_->bundle();
  for (uint32_t i = 0; i < shared_.size(); ++i) {
    const std::string path = bundle.ShardPath(shared_[i].number);
    TB_ASSIGN_OR_RETURN(const uint64_t size, publication.AdoptShard(first + i, path));
    if (size != shared_[i].size) {
      return Status(Code::kSizeMismatch, "the data file has changed").WithPath(path);
    }
  }
  // Only now: a data file that was there while the index stood belongs to it.
  return bundle.CheckCurrent();
}

void Incremental::GiveUp(std::string reason) {
  reason_ = std::move(reason);
  shared_.clear();
  std::fill(kept_.begin(), kept_.end(), std::nullopt);
}

std::string Incremental::Encode(uint64_t index_size,
                                const checksum::Fingerprint& index) const {
  format::FingerprintList list;
  list.key = key_.value();
  list.index_size = index_size;
  list.index = index;
  list.fingerprints.reserve(by_name_.size());
  for (const uint32_t tensor : by_name_) list.fingerprints.push_back(fingerprints_[tensor]);
  return format::EncodeFingerprints(list);
}

}  // namespace tensorbundle::engine
