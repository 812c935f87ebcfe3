// What tells the temporary files of one save from those of any other.

#pragma once

#include <cstdint>

namespace tensorbundle::engine {

// 64 random bits, for format::TemporaryPath().
uint64_t NewSaveId();

}  // namespace tensorbundle::engine
