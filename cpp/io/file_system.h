// Kinds of file system, by the number that statfs(2) gives.

#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace tensorbundle::io {

struct FileSystemKind {
  std::string name;         // "ext4" for all of ext2, ext3 and ext4; "0x..." if unknown
  bool is_network = false;  // another machine, or a process (FUSE), holds the bytes
  bool is_memory = false;   // they are never anywhere else
};

FileSystemKind FileSystemOf(uint32_t magic);

// The one that holds `path`, which exists.
//
// Errors: kSystem  statfs failed (ENOENT, ...)
Result<FileSystemKind> FileSystemAt(const std::string& path);

}  // namespace tensorbundle::io
