// Which backend a save uses, and why.
//
// What was asked for is used or refused with a reason; "auto" takes the fastest that a
// real probe of the directory shows to work, and never fails for that.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "io/backend.h"

namespace tensorbundle::engine {

// Smaller saves go through the page cache: a probe and direct requests for a few blocks
// cost more than they gain.  Measured: benchmarks/README.md, "When direct".
constexpr uint64_t kSmallSave = 8u << 20;  // bytes

struct BackendChoice {
  io::Backend backend = io::Backend::kBuffered;
  uint64_t memory_granule = 1;  // bytes: what the device demands of addresses
  std::string reason;           // why not something faster; empty where nothing is
};

// `total_bytes` is the size of all tensors.
BackendChoice ChooseAutomatically(const io::PathTraits& traits, const io::UringSupport& uring,
                                  uint64_t total_bytes);

// For a save to `prefix`.  `requested` absent: auto.
//
// Errors: kUnsupportedBackend  `requested` cannot work there; the message says what would
Result<BackendChoice> ChooseBackend(std::optional<io::Backend> requested,
                                    const std::string& prefix, uint64_t total_bytes);

}  // namespace tensorbundle::engine
