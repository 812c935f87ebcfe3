// Which file it is, whatever its name: what tells a file from one that replaced it.

#pragma once

#include <compare>
#include <cstdint>

namespace tensorbundle::io {

// Unique among files that exist; one that is open or mapped goes on existing.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  friend auto operator<=>(const FileIdentity&, const FileIdentity&) = default;
};

}  // namespace tensorbundle::io
