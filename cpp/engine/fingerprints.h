// The fingerprints of tensors, as they will lie in the file: one pass over all their bytes.
//
// Threads: a TakeFingerprints() is called on one thread and starts its own.

#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "checksum/fingerprint.h"
#include "engine/observer.h"
#include "engine/tensor_view.h"

namespace tensorbundle::engine {

struct FingerprintOptions {
  size_t num_threads = 1;
  Observer* observer = nullptr;  // may be null; asked whether to stop, told no progress
};

// One per tensor.
//
// Errors: kCancelled  the observer said stop
Result<std::vector<checksum::Fingerprint>> TakeFingerprints(
    std::span<const TensorView> tensors, const checksum::FingerprintKey& key,
    const FingerprintOptions& options);

}  // namespace tensorbundle::engine
