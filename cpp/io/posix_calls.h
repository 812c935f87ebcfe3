// What posix_storage and mapped_file ask of the kernel in the same way.

#pragma once

#include <cerrno>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "io/file_identity.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {

// Repeats a system call that answers -1 on failure while a signal interrupts it.
template <typename Call>
auto RetryOnInterrupt(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

struct RegularFile {
  UniqueFd fd;
  uint64_t size = 0;  // bytes, when it was opened
  FileIdentity identity;
};

// Opens for reading.  Symbolic links are followed: a shard may be one.
//
// Errors: kSystem          open or fstat failed (ENOENT, EACCES, ELOOP, ...)
//         kNotRegularFile  a directory, FIFO, socket or device (never blocks)
Result<RegularFile> OpenRegularFile(const std::string& path);

// "a directory" for the mode of one, as stat(2) gives it.
std::string DescribeMode(uint32_t mode);

}  // namespace tensorbundle::io
