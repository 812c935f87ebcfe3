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

// Whether `path` still names the open file `attributes` are of.  The file's number
// cannot be another's: it is open.
Result<bool> IsNamed(const struct stat& attributes, const std::string& path) {
  struct stat named = {};
  if (::lstat(path.c_str(), &named) == 0) {
    return named.st_dev == attributes.st_dev && named.st_ino == attributes.st_ino;
  }
  if (errno == ENOENT) return false;
  return Status::System(errno, "stat", path);
}

class PosixLock final : public Lock {
 public:
  PosixLock(std::string path, UniqueFd fd, const struct stat& attributes)
      : path_(std::move(path)), fd_(std::move(fd)), attributes_(attributes) {}

  ~PosixLock() override {
    if (::getpid() != owner_) return;
    // The name goes first: while it is there the lock is ours, so nobody else's file
    // is removed.  Who waits with the old file open will find it has no name.
    const Result<bool> named = IsNamed(attributes_, path_);
    if (named.ok() && *named) ::unlink(path_.c_str());
    // Not left to close(2): a child forked meanwhile shares this open file, and the
    // lock would last until it, too, has closed it.
    ::flock(fd_.get(), LOCK_UN);
  }

 private:
  const std::string path_;
  const UniqueFd fd_;
  const struct stat attributes_;
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
  if (RetryOnInterrupt([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) return HeldByAnother(path);
    // Some network file systems have no locks.  Ours is a courtesy: what keeps two saves
    // apart are names of their own and one rename each.
    if (!IsWithoutLocks(errno)) {
      const Status failed = Status::System(errno, "flock", path);
      ::unlink(path.c_str());  // a name of ours, and nobody can hold a lock here
      return failed;
    }
  }
  TB_ASSIGN_OR_RETURN(const bool named, IsNamed(attributes, path));
  if (!named) return std::unique_ptr<Lock>();
  return std::unique_ptr<Lock>(std::make_unique<PosixLock>(path, std::move(fd), attributes));
}

}  // namespace

Result<std::unique_ptr<Lock>> TryLockFile(const std::string& path) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    TB_ASSIGN_OR_RETURN(std::unique_ptr<Lock> lock, TryLockOnce(path));
    if (lock != nullptr) return lock;
  }
  return HeldByAnother(path);
}

}  // namespace tensorbundle::io
