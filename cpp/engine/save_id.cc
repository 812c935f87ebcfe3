#include "engine/save_id.h"

#include <random>

namespace tensorbundle::engine {

uint64_t NewSaveId() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace tensorbundle::engine
