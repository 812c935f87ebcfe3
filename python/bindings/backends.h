// Backends by the names that users give them.

#pragma once

#include <optional>
#include <string_view>

#include "io/backend.h"

namespace tensorbundle::bindings {

// Absent for "auto".  REQUIRES: the package has checked the name
inline std::optional<io::Backend> BackendFromName(std::string_view name) {
  for (const auto backend :
       {io::Backend::kBuffered, io::Backend::kDirect, io::Backend::kUring}) {
    if (name == io::BackendName(backend)) return backend;
  }
  return std::nullopt;
}

}  // namespace tensorbundle::bindings
