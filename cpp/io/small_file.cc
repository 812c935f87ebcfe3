#include "io/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/text.h"
#include "io/posix_calls.h"
#include "io/posix_lock.h"
#include "io/posix_storage.h"
#include "io/transfer.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {
namespace {

// Removed when it goes, unless it was published; locked as long as it is there.
class UnfinishedFile {
 public:
  UnfinishedFile() = default;
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;
  ~UnfinishedFile() {
    if (locked_.valid()) ::unlink(path_.c_str());
  }

  Status Create(const std::function<std::string()>& name) {
    for (;;) {
      path_ = name();
      TB_ASSIGN_OR_RETURN(const bool created, TryCreate());
      if (created) return Status();  // else it was just taken for an abandoned one
    }
  }

  Status Write(Bytes content, bool durable) {
    // Of its own, so that the error of its close can be told while the file is locked.
    UniqueFd fd(RetryOnInterrupt([&] { return ::fcntl(locked_.get(), F_DUPFD_CLOEXEC, 0); }));
    if (!fd.valid()) return Status::System(errno, "dup", path_);
    const auto write = [&](Bytes part, uint64_t at) {
      return ::pwrite(fd.get(), part.data(), part.size(), static_cast<off_t>(at));
    };
    const Transferred done = TransferAll(content, 0, {content.size(), 1}, write);
    if (done.size != content.size()) {
      // A write that moves nothing and tells no reason.
      return Status::System(done.error_number != 0 ? done.error_number : EIO, "pwrite", path_);
    }
    if (durable && ::fdatasync(fd.get()) != 0) {
      return Status::System(errno, "fdatasync", path_);
    }
    // close(2), NOTES: on Linux EINTR has closed the descriptor as well.
    if (::close(fd.release()) != 0 && errno != EINTR) {
      return Status::System(errno, "close", path_);
    }
    return Status();
  }

  Status Publish(const std::string& path) {
    if (::rename(path_.c_str(), path.c_str()) != 0) {
      return Status::System(errno, "rename to " + Quoted(path), path_);
    }
    locked_ = UniqueFd();
    return Status();
  }

 private:
  Result<bool> TryCreate() {
    constexpr int kFlags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    locked_ = UniqueFd(RetryOnInterrupt([&] { return ::open(path_.c_str(), kFlags, 0666); }));
    if (!locked_.valid()) return Status::System(errno, "open", path_);
    const Result<bool> locked = TryLockOpenFile(locked_.get(), path_);
    if (!locked.ok() && locked.status().code() != Code::kLocked) return locked.status();
    if (locked.ok()) {
      TB_ASSIGN_OR_RETURN(const bool named, IsNamed(locked_.get(), path_));
      if (named) return true;
    }
    locked_ = UniqueFd();
    return false;
  }

  std::string path_;
  UniqueFd locked_;
};

}  // namespace

Status ReplaceFile(const std::string& path, const std::function<std::string()>& hidden,
                   Bytes content, bool durable) {
  UnfinishedFile file;
  TB_RETURN_IF_ERROR(file.Create(hidden));
  TB_RETURN_IF_ERROR(file.Write(content, durable));
  TB_RETURN_IF_ERROR(file.Publish(path));
  if (!durable) return Status();
  return MakePosixStorage(Backend::kBuffered)->SyncDirectory(DirectoryOf(path));
}

Status RemoveUnfinished(const std::string& hidden) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  const UniqueFd fd(RetryOnInterrupt([&] { return ::open(hidden.c_str(), kFlags); }));
  if (!fd.valid()) return Status();  // gone, or no file of ours
  const Result<bool> locked = TryLockOpenFile(fd.get(), hidden);
  if (!locked.ok() || !*locked) return Status();  // being written, or nobody can tell
  const Result<bool> named = IsNamed(fd.get(), hidden);
  if (!named.ok() || !*named) return Status();  // finished meanwhile
  if (::unlink(hidden.c_str()) == 0 || errno == ENOENT) return Status();
  return Status::System(errno, "unlink", hidden);
}

}  // namespace tensorbundle::io
