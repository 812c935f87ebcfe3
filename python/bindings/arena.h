// The memory of one load: one region that all its arrays share.
//
// Each tensor lies at a 64-byte aligned address; a large one at an address congruent to
// its place in the file, so that direct I/O needs no copy.

#pragma once

#include <memory>
#include <vector>

#include "engine/reader.h"
#include "io/aligned_buffer.h"

namespace tensorbundle::bindings {

// Gives every request without a destination one in a new region, and the region.
//
// Raises OSError with ENOMEM.  GIL: needed
std::shared_ptr<io::AlignedBuffer> AllocateArena(std::vector<engine::ReadRequest>& requests);

}  // namespace tensorbundle::bindings
