// Faults and limits that every Storage has in common, so that a caller is told the
// same whatever holds its files.

#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace tensorbundle::io {

// Offsets are signed in the system calls (off_t), so no file is longer.
inline constexpr uint64_t kMaxFileSize = INT64_MAX;

// Whether [offset, offset + size) can be in any file.
constexpr bool FitsInAFile(uint64_t offset, uint64_t size) {
  return offset <= kMaxFileSize && size <= kMaxFileSize - offset;
}

// The bytes that a file of `file_size` has from `offset` on.
constexpr uint64_t AvailableFrom(uint64_t offset, uint64_t file_size) {
  return offset < file_size ? file_size - offset : 0;
}

// kOutOfBounds: `size` bytes were wanted at `offset`, `available` are there.
Status NotInFile(const std::string& path, uint64_t offset, uint64_t size, uint64_t available);

// What a read got of what it asked for; `file_size` is that of the file when it was opened.
struct ShortCount {
  uint64_t wanted = 0;  // bytes
  uint64_t found = 0;
  uint64_t file_size = 0;
};

// NotInFile(), or kConcurrentModification where the file had those bytes when it was opened.
Status ShortRead(const std::string& path, uint64_t offset, const ShortCount& count);

// kNotRegularFile; `found` as in "a directory".
Status NotRegularFile(const std::string& path, const std::string& found);

// kLocked.
Status HeldByAnother(const std::string& path);

}  // namespace tensorbundle::io
