#include "io/posix_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cassert>
#include <utility>

#include "io/file_faults.h"
#include "io/file_request.h"
#include "io/transfer.h"

namespace tensorbundle::io {

PosixReadableFile::PosixReadableFile(std::string path, RegularFile file, Granule granule)
    : path_(std::move(path)), file_(std::move(file)), granule_(granule) {}

Status PosixReadableFile::ReadAt(uint64_t offset, MutableBytes out) const {
  TB_ASSIGN_OR_RETURN(const TransferGoal goal, CheckRead(*this, offset, out));
  const auto read = [&](MutableBytes part, uint64_t at) {
    return ::pread(file_.fd.get(), part.data(), part.size(), static_cast<off_t>(at));
  };
  const Transferred done = TransferAll(out, offset, goal, read);
  return ReadOutcome({"pread", path_, offset, out.size(), goal, size()}, done);
}

PosixWritableFile::PosixWritableFile(std::string path, UniqueFd fd,
                                     const WritableTraits& traits)
    : path_(std::move(path)), fd_(std::move(fd)), traits_(traits) {}

Status PosixWritableFile::Allocate(uint64_t size) {
  if (size == 0) return Status();
  if (size > kMaxFileSize) return Status::System(EFBIG, "fallocate", path_);
  const auto allocate = [&] { return ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)); };
  if (RetryOnInterrupt(allocate) == 0) return Status();
  // File systems that cannot reserve say so in three ways.
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return Status();
  return Status::System(errno, "fallocate", path_);
}

Status PosixWritableFile::WriteAt(uint64_t offset, Bytes bytes) {
  TB_ASSIGN_OR_RETURN(const TransferGoal goal, CheckWrite(*this, offset, bytes));
  const auto write = [&](Bytes part, uint64_t at) {
    return ::pwrite(fd_.get(), part.data(), part.size(), static_cast<off_t>(at));
  };
  const Transferred done = TransferAll(bytes, offset, goal, write);
  return WriteOutcome({"pwrite", path_, offset, bytes.size(), goal, 0}, done);
}

Status PosixWritableFile::Truncate(uint64_t size) {
  if (size > kMaxFileSize) return Status::System(EFBIG, "ftruncate", path_);
  const auto truncate = [&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); };
  if (RetryOnInterrupt(truncate) != 0) return Status::System(errno, "ftruncate", path_);
  return Status();
}

Status PosixWritableFile::Sync() {
  // Once only: a failed fdatasync(2) leaves the lost pages marked clean, and the next
  // one succeeds (Rebello et al., ATC'20).
  if (sync_status_.ok() && ::fdatasync(fd_.get()) != 0) {
    sync_status_ = Status::System(errno, "fdatasync", path_);
  }
  return sync_status_;
}

Status PosixWritableFile::Close() {
  assert(fd_.valid());
  const bool closed = ::close(fd_.release()) == 0;
  if (!sync_status_.ok()) return sync_status_;
  // close(2), NOTES: on Linux EINTR has closed the descriptor as well, and a second
  // call could hit a descriptor that another thread has just got.
  if (!closed && errno != EINTR) return Status::System(errno, "close", path_);
  return Status();
}

}  // namespace tensorbundle::io
