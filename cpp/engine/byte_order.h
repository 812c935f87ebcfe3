// Turns what was read from a big-endian bundle into numbers of this machine.

#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "engine/reader.h"

namespace tensorbundle::engine {

// Reverses the words of every destination, on up to `num_threads` threads.  Strings and
// variants stay as they are: whoever decodes them is told the order.
//
// REQUIRES: the destinations are filled and their checksums compared
Status ReverseDestinations(std::span<const ReadRequest> requests, size_t num_threads);

}  // namespace tensorbundle::engine
