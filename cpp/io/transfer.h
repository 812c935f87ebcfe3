// All of a buffer through a system call that may move only a part of it.
//
// The loop knows no file and no direction: it is given the raw call, so that a test
// can give it one that fails.  Advance() is its step, for a caller whose answers come
// later (io/ring_queue.h).

#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/alignment.h"

namespace tensorbundle::io {

// Linux moves at most 0x7ffff000 bytes in one call (read(2), NOTES).  The power of
// two below it leaves the parts of an aligned buffer aligned.
inline constexpr size_t kMaxTransferSize = size_t{1} << 30;

// Where a transfer is done, and where a part of it may start.
struct TransferGoal {
  uint64_t needed = 0;   // bytes; less than the buffer's where that reaches past the end
  uint64_t granule = 1;  // bytes: every call starts at a multiple, counted from the first
};

struct Transferred {
  uint64_t size = 0;     // bytes moved
  int error_number = 0;  // errno of the call that ended the transfer; 0 where none failed
  bool ended = false;    // no further call can help
};

// Takes the answer of one call for the rest of a transfer: bytes moved, or -errno.
//
// An answer of zero ends it: for a read it is the end of the file, and a write that
// moves nothing would be repeated for ever.  So does a part of a granule.
inline void Advance(Transferred& done, int64_t answer, const TransferGoal& goal) {
  if (answer < 0) {
    done.error_number = static_cast<int>(-answer);
    done.ended = true;
    return;
  }
  const uint64_t reached = done.size + static_cast<uint64_t>(answer);
  // A device takes whole granules: one that was moved in part is moved again.
  const uint64_t resume = AlignDown(reached, goal.granule);
  done.ended = reached >= goal.needed || resume == done.size;
  done.size = done.ended ? reached : resume;
}

// Repeats `call(part, offset)`, which answers as pread(2) does, until the goal is
// reached.  EINTR is repeated.
//
// REQUIRES: offset + bytes.size() does not wrap around
template <typename Byte, typename Call>
Transferred TransferAll(std::span<Byte> bytes, uint64_t offset, const TransferGoal& goal,
                        Call call) {
  Transferred done;
  while (!done.ended && done.size < goal.needed) {
    const size_t size = std::min<size_t>(bytes.size() - done.size, kMaxTransferSize);
    const ssize_t count = call(bytes.subspan(done.size, size), offset + done.size);
    if (count < 0 && errno == EINTR) continue;
    Advance(done, count < 0 ? -int64_t{errno} : int64_t{count}, goal);
  }
  return done;
}

}  // namespace tensorbundle::io
