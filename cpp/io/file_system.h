// Kinds of file system, by the number that statfs(2) gives.

#pragma once

#include <cstdint>
#include <string>

namespace tensorbundle::io {

struct FileSystemKind {
  std::string name;         // "ext4" for all of ext2, ext3 and ext4; "0x..." if unknown
  bool is_network = false;  // another machine, or a process (FUSE), holds the bytes
  bool is_memory = false;   // they are never anywhere else
};

FileSystemKind FileSystemOf(uint32_t magic);

}  // namespace tensorbundle::io
