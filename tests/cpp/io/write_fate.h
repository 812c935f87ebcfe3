// What becomes of one change of a file's bytes that was not synced, when the power goes.
//
// Why each is legal: io/crash_states.h.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/recording_storage.h"

namespace tensorbundle::io {

// Of a name, an allocation or a truncation the first two only.
enum class WriteFate : uint8_t {
  kLost,
  kThere,
  kLengthOnly,  // zeros
  kStale,       // what the blocks held before
  // The part before or after a boundary near the middle, zeros for the rest.
  kHeadOfSectors,
  kTailOfSectors,
  kHeadOfPages,
  kTailOfPages,
  kShortHead,  // and the length is that of the head
};

// Lost and there first.
std::vector<WriteFate> FatesOf(const Effect& effect);

void Apply(std::string& content, const Effect& effect, WriteFate fate);

}  // namespace tensorbundle::io
