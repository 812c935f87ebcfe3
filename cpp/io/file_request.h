// One transfer to or from a file: what the file demands of it, and how it ended.
//
// The same for a system call (io/posix_file.h) and for a ring (io/ring_queue.h), so
// that a caller is told the same whoever did the work.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "io/file.h"
#include "io/transfer.h"

namespace tensorbundle::io {

// Errors: kInvalidArgument  the range or the memory does not suit `granule`
Status CheckAligned(const Granule& granule, uint64_t offset, Bytes bytes);

// How much of `out` the file has to fill.
//
// Errors: kOutOfBounds      the file ends before; its last granule may be read whole
//         kInvalidArgument  as CheckAligned(); asserted in debug builds
Result<TransferGoal> CheckRead(const ReadableFile& file, uint64_t offset, Bytes out);

// Errors: kSystem           EFBIG: no file can be so long
//         kInvalidArgument  as CheckAligned(); asserted in debug builds
Result<TransferGoal> CheckWrite(const WritableFile& file, uint64_t offset, Bytes bytes);

// What was asked for, and by which call: "pread", "io_uring read".
struct Request {
  std::string_view operation;
  const std::string& path;
  uint64_t offset;
  uint64_t size;  // bytes
  TransferGoal goal;
  uint64_t file_size = 0;  // of a file that is read: bytes, when it was opened
};

// Errors: kSystem                  a call failed; the offset says where
//         kConcurrentModification  the file has become shorter since it was opened
//         kOutOfBounds             it was shorter already then
Status ReadOutcome(const Request& request, const Transferred& done);

// Errors: kSystem  a call failed, or wrote nothing (EIO); the offset says where
Status WriteOutcome(const Request& request, const Transferred& done);

}  // namespace tensorbundle::io
