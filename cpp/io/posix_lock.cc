#include "io/posix_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "io/file_faults.h"
#include "io/posix_calls.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {
namespace {

// Each attempt is lost only to a holder who released in between.  So many in a row
// mean that the prefix is busy.
constexpr int kMaxAttempts = 100;

class PosixLock final : public Lock {
 public:
  PosixLock(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  ~PosixLock() override {
    if (::getpid() != owner_) return;
    // The name goes first: while it is there the lock is ours, so nobody else's file
    // is removed.  Who waits with the old file open will find it has no name.
    const Result<bool> named = IsNamed(fd_.get(), path_);
    if (named.ok() && *named) ::unlink(path_.c_str());
    // Not left to close(2): a child forked meanwhile shares this open file, and the
    // lock would last until it, too, has closed it.
    ::flock(fd_.get(), LOCK_UN);
  }

 private:
  const std::string path_;
  const UniqueFd fd_;
  const pid_t owner_ = ::getpid();
};

bool IsWithoutLocks(int error_number) {
  return error_number == ENOSYS || error_number == EOPNOTSUPP || error_number == ENOTSUP ||
         error_number == ENOLCK;
}

// One attempt; null where the file lost its name before it was locked.
Result<std::unique_ptr<Lock>> TryLockOnce(const std::string& path) {
  // O_NONBLOCK: against a device in place of the file.
  constexpr int kFlags = O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  UniqueFd fd(RetryOnInterrupt([&] { return ::open(path.c_str(), kFlags, 0666); }));
  if (!fd.valid()) {
    if (errno == ENXIO || errno == ENODEV) return NotRegularFile(path, "a socket or device");
    return Status::System(errno, "open", path);
  }
  struct stat attributes = {};
  if (::fstat(fd.get(), &attributes) != 0) return Status::System(errno, "fstat", path);
  if (!S_ISREG(attributes.st_mode)) {
    return NotRegularFile(path, DescribeMode(attributes.st_mode));
  }
  // False will do: ours is a courtesy, since what keeps two saves apart are names of their
  // own and one rename each.
  if (const Result<bool> locked = TryLockOpenFile(fd.get(), path); !locked.ok()) {
    // A name of ours, and nobody can hold a lock here.
    if (locked.status().code() != Code::kLocked) ::unlink(path.c_str());
    return locked.status();
  }
  TB_ASSIGN_OR_RETURN(const bool named, IsNamed(fd.get(), path));
  if (!named) return std::unique_ptr<Lock>();
  return std::unique_ptr<Lock>(std::make_unique<PosixLock>(path, std::move(fd)));
}

}  // namespace

Result<std::unique_ptr<Lock>> TryLockFile(const std::string& path) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    TB_ASSIGN_OR_RETURN(std::unique_ptr<Lock> lock, TryLockOnce(path));
    if (lock != nullptr) return lock;
  }
  return HeldByAnother(path);
}

Result<bool> TryLockOpenFile(int fd, const std::string& path) {
  if (RetryOnInterrupt([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0) return true;
  if (errno == EWOULDBLOCK) return HeldByAnother(path);
  if (IsWithoutLocks(errno)) return false;  // some network file systems
  return Status::System(errno, "flock", path);
}

Result<bool> IsNamed(int fd, const std::string& path) {
  struct stat open = {};
  if (::fstat(fd, &open) != 0) return Status::System(errno, "fstat", path);
  struct stat named = {};
  if (::lstat(path.c_str(), &named) == 0) {
    // The open file's number cannot be another's.
    return named.st_dev == open.st_dev && named.st_ino == open.st_ino;
  }
  if (errno == ENOENT) return false;
  return Status::System(errno, "stat", path);
}

}  // namespace tensorbundle::io
