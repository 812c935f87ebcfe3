// What differs between two bundles, from their indexes alone.
//
// Tensors are compared by dtype, shape, size and CRC-32C; where these are equal the bytes are
// taken to be the same, which a checksum makes likely, not certain.  A partitioned tensor is
// compared part by part.  No data file is opened.
//
// Threads: one call, one thread; any number of calls on the same bundles.
//
// Trust: see engine/bundle.h; the first damaged entry ends the comparison.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/bundle.h"
#include "format/entry.h"

namespace tensorbundle::engine {

enum class Difference : uint8_t {
  kSame,     // dtype, shape, size and checksum
  kRemoved,  // only the first bundle has it
  kAdded,    // only the second has it
  kChanged,  // another dtype or shape
  kDiffers,  // another checksum or size
  kUntold,   // stored in another way, so that checksums cannot be compared
};

struct TensorDifference {
  std::string name;
  Difference difference = Difference::kSame;
  // Of the bundle that has it; of both where it kChanged.
  format::Entry first;
  format::Entry second;
};

// Every tensor of either bundle, in the order of the names.
//
// Errors: those of Bundle::Find(), with the path of the index concerned
Result<std::vector<TensorDifference>> Diff(const Bundle& first, const Bundle& second);

}  // namespace tensorbundle::engine
