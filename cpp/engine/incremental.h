// What an incremental save knows before it writes, and does besides.
//
// It takes the fingerprints of all tensors, compares them with those of an earlier bundle,
// and shares its data files where that pays (engine/sharing.h).  Whatever is wrong with the
// earlier bundle, or keeps its files from being linked, is a reason to write everything, and
// no failure.
//
// Ownership: owns the earlier bundle; borrows the storage.
//
// Threads: one thread; it starts its own for the fingerprints.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checksum/fingerprint.h"
#include "engine/commit.h"
#include "engine/fingerprints.h"
#include "engine/previous_bundle.h"
#include "engine/sharing.h"
#include "engine/tensor_view.h"
#include "io/storage.h"

namespace tensorbundle::engine {

class Incremental {
 public:
  // `previous` is the earlier bundle's prefix.  `by_name` is the order of the new index;
  // numbers beyond the tensors stand for entries without bytes.
  //
  // Errors: kCancelled
  static Result<std::unique_ptr<Incremental>> Prepare(io::Storage& storage,
                                                      const std::string& previous,
                                                      std::span<const TensorView> tensors,
                                                      std::span<const uint32_t> by_name,
                                                      uint64_t alignment,
                                                      const FingerprintOptions& options);

  // Where a tensor is that need not be written: its shard is an index into shared().
  const std::optional<StoredTensor>& Kept(uint32_t tensor) const { return kept_[tensor]; }
  bool IsUnchanged(uint32_t tensor) const { return unchanged_[tensor]; }
  std::span<const SharedShard> shared() const { return shared_; }
  // Why nothing is shared; empty where something is.
  const std::string& reason() const { return reason_; }

  // Links the shared files as shards from `first` on.
  //
  // Errors: any; then GiveUp() and a new Publication are in order
  Status Adopt(Publication& publication, uint32_t first) const;
  void GiveUp(std::string reason);

  // Of the new bundle: its index is written through the Fingerprinter, the tensors' own are
  // added in the order of their entries.
  checksum::Fingerprinter StartIndex() const { return checksum::Fingerprinter(key_); }
  const checksum::Fingerprint& Of(uint32_t tensor) const { return fingerprints_[tensor]; }
  // The file's bytes.
  std::string Encode(uint64_t index_size, const checksum::Fingerprint& index) const;

 private:
  explicit Incremental(const checksum::FingerprintKey& key) : key_(key) {}

  Status Compare(std::span<const TensorView> tensors, uint64_t alignment);
  std::vector<std::optional<uint64_t>> FileSizes(std::span<const Candidate> candidates) const;

  const checksum::FingerprintKey key_;
  std::unique_ptr<const PreviousBundle> previous_;
  std::vector<uint32_t> by_name_;                    // the tensors alone
  std::vector<checksum::Fingerprint> fingerprints_;  // one per tensor
  std::vector<std::optional<StoredTensor>> kept_;    // one per tensor
  std::vector<bool> unchanged_;                      // one per tensor
  std::vector<SharedShard> shared_;
  std::string reason_;
};

}  // namespace tensorbundle::engine
