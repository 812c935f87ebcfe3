// All of a buffer through a system call that may move only a part of it.
//
// The loop knows no file and no direction: it is given the raw call, so that a test
// can give it one that fails.

#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tensorbundle::io {

// Linux moves at most 0x7ffff000 bytes in one call (read(2), NOTES).  The power of
// two below it leaves the parts of an aligned buffer aligned.
inline constexpr size_t kMaxTransferSize = size_t{1} << 30;

struct Transferred {
  uint64_t size = 0;     // bytes moved
  int error_number = 0;  // errno of the call that ended the loop; 0 where none failed
};

// Repeats `call(part, offset)`, which answers as pread(2) does, until `bytes` are
// done.  EINTR is repeated.  An answer of zero ends the loop: for a read it is the
// end of the file, and a write that moves nothing would be repeated for ever.
//
// REQUIRES: offset + bytes.size() does not wrap around
template <typename Byte, typename Call>
Transferred TransferAll(std::span<Byte> bytes, uint64_t offset, Call call) {
  Transferred done;
  while (done.size < bytes.size()) {
    const size_t size = std::min<size_t>(bytes.size() - done.size, kMaxTransferSize);
    const ssize_t count = call(bytes.subspan(done.size, size), offset + done.size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) done.error_number = errno;
    if (count <= 0) break;
    done.size += static_cast<uint64_t>(count);
  }
  return done;
}

}  // namespace tensorbundle::io
