#include "io/file_request.h"

#include <cassert>
#include <cerrno>

#include "base/alignment.h"
#include "io/file_faults.h"

namespace tensorbundle::io {

Status CheckAligned(const Granule& granule, uint64_t offset, Bytes bytes) {
  if (offset % granule.offset == 0 && bytes.size() % granule.offset == 0 &&
      IsAligned(bytes.data(), granule.memory)) {
    return Status();
  }
  const uint64_t astray = reinterpret_cast<uintptr_t>(bytes.data()) % granule.memory;
  return Status(Code::kInvalidArgument,
                "expected a direct transfer in multiples of " +
                    std::to_string(granule.offset) + " bytes, of memory at multiples of " +
                    std::to_string(granule.memory) + ", found " +
                    std::to_string(bytes.size()) + " bytes, of memory " +
                    std::to_string(astray) + " past one");
}

Result<TransferGoal> CheckRead(const ReadableFile& file, uint64_t offset, Bytes out) {
  const Granule granule = file.granule();
  const uint64_t available = AvailableFrom(offset, file.size());
  // No call would be made for no bytes, and none that off_t cannot say.
  if (!FitsInAFile(offset, out.size()) || (out.empty() && offset > file.size())) {
    return NotInFile(file.path(), offset, out.size(), available);
  }
  // Without granules the kernel knows the end best: the files of /proc have no size.
  if (granule.offset == 1) return TransferGoal{out.size(), 1};
  if (offset + out.size() > AlignUp(file.size(), granule.offset)) {
    return NotInFile(file.path(), offset, out.size(), available);
  }
  Status aligned = CheckAligned(granule, offset, out);
  assert(aligned.ok());
  if (!aligned.ok()) return std::move(aligned).WithPath(file.path()).WithOffset(offset);
  return TransferGoal{std::min<uint64_t>(out.size(), available), granule.offset};
}

Result<TransferGoal> CheckWrite(const WritableFile& file, uint64_t offset, Bytes bytes) {
  if (!FitsInAFile(offset, bytes.size())) {
    return Status::System(EFBIG, "pwrite", file.path()).WithOffset(offset);
  }
  const Granule granule = file.granule();
  Status aligned = CheckAligned(granule, offset, bytes);
  assert(aligned.ok());
  if (!aligned.ok()) return std::move(aligned).WithPath(file.path()).WithOffset(offset);
  return TransferGoal{bytes.size(), granule.offset};
}

Status ReadOutcome(const Request& request, const Transferred& done) {
  if (done.error_number != 0) {
    return Status::System(done.error_number, request.operation, request.path)
        .WithOffset(request.offset + done.size);
  }
  if (done.size >= request.goal.needed) return Status();
  return ShortRead(request.path, request.offset,
                   {request.goal.needed, done.size, request.file_size});
}

Status WriteOutcome(const Request& request, const Transferred& done) {
  const uint64_t stopped = request.offset + done.size;
  if (done.error_number != 0) {
    return Status::System(done.error_number, request.operation, request.path)
        .WithOffset(stopped);
  }
  if (done.size >= request.goal.needed) return Status();
  return Status::System(EIO, std::string(request.operation) + " took no bytes", request.path)
      .WithOffset(stopped);
}

}  // namespace tensorbundle::io
