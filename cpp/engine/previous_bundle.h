// An earlier bundle, and which tensors of a save it has already, byte for byte.
//
// Dtype, shape and size are compared, and the bytes by their fingerprints, which the earlier
// save has left beside its index (format/fingerprint_list.h).
//
// Threads: immutable; any thread may call any method.
//
// Trust: index and fingerprints are from disk.  Anything that is wrong with either is a
// Status, for which a save of everything is the answer.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checksum/crc32c.h"
#include "checksum/fingerprint.h"
#include "engine/bundle.h"
#include "engine/tensor_view.h"
#include "format/fingerprint_list.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// Where the earlier bundle has a tensor.
struct StoredTensor {
  uint32_t shard = 0;
  uint64_t offset = 0;  // bytes
  checksum::MaskedCrc32c crc;
};

class PreviousBundle {
 public:
  // Errors: kSystem             ENOENT: no bundle, or no fingerprints
  //         kInvalidArgument    the fingerprints are of another index
  //         kLimitExceeded      they are more than it can have
  //         kUnsupportedEndianness
  //         those of Bundle::Open() and DecodeFingerprints()
  static Result<std::unique_ptr<PreviousBundle>> Open(
      const std::shared_ptr<io::Storage>& storage, const std::string& prefix);

  // The fingerprints to compare with are to be taken with this one.
  checksum::FingerprintKey key() const { return checksum::FingerprintKey(list_.key); }

  // For each of the tensors that has bytes, where it is, if it is there.  `by_name` is their
  // order by name, and there is a fingerprint for each.
  Result<std::vector<std::optional<StoredTensor>>> Find(
      std::span<const TensorView> tensors, std::span<const uint32_t> by_name,
      std::span<const checksum::Fingerprint> fingerprints) const;

  const Bundle& bundle() const { return *bundle_; }

 private:
  PreviousBundle(std::unique_ptr<const Bundle> bundle, format::FingerprintList list)
      : bundle_(std::move(bundle)), list_(std::move(list)) {}

  const std::unique_ptr<const Bundle> bundle_;
  const format::FingerprintList list_;
};

}  // namespace tensorbundle::engine
