#include "io/unused_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>

#include "io/file_system.h"
#include "io/posix_calls.h"

namespace tensorbundle::io {
namespace {

// Their leases are the kernel's own, and a map of a file of theirs holds that very file.
constexpr std::string_view kTrusted[] = {"ext4", "xfs", "btrfs", "f2fs", "tmpfs"};

Status CheckFileSystem(int fd, const std::string& path) {
  struct statfs attributes = {};
  if (RetryOnInterrupt([&] { return ::fstatfs(fd, &attributes); }) != 0) {
    return Status::System(errno, "fstatfs", path);
  }
  const std::string name = FileSystemOf(static_cast<uint32_t>(attributes.f_type)).name;
  const bool trusted =
      std::find(std::begin(kTrusted), std::end(kTrusted), name) != std::end(kTrusted);
  return trusted ? Status() : Status::System(EOPNOTSUPP, "a lease on " + name, path);
}

Status CheckIdentity(int fd, const std::string& path, const FileIdentity& identity) {
  struct stat attributes = {};
  if (::fstat(fd, &attributes) != 0) return Status::System(errno, "fstat", path);
  const FileIdentity found = {attributes.st_dev, attributes.st_ino};
  if (!S_ISREG(attributes.st_mode) || !(found == identity)) {
    return Status::System(ESTALE, "reopen", path);
  }
  return attributes.st_nlink == 1 ? Status() : Status::System(EMLINK, "reopen", path);
}

Status CheckUnused(int fd, const std::string& path) {
  // Who opens the file while we have the lease waits, and we are sent a signal: by default
  // SIGIO, which ends the process.  SIGURG is ignored where nobody handles it.
  if (::fcntl(fd, F_SETSIG, SIGURG) != 0) return Status::System(errno, "F_SETSIG", path);
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) {
    const int error = errno == EAGAIN ? EBUSY : errno;
    return Status::System(error, "F_SETLEASE", path);
  }
  if (::fcntl(fd, F_SETLEASE, F_UNLCK) != 0) return Status::System(errno, "F_SETLEASE", path);
  return Status();
}

}  // namespace

Result<UniqueFd> OpenUnused(const std::string& path, const FileIdentity& identity) {
  // O_NONBLOCK: not to wait for somebody else's lease.
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  UniqueFd fd(RetryOnInterrupt([&] { return ::open(path.c_str(), kFlags); }));
  if (!fd.valid()) return Status::System(errno, "open", path);
  TB_RETURN_IF_ERROR(CheckIdentity(fd.get(), path, identity));
  TB_RETURN_IF_ERROR(CheckFileSystem(fd.get(), path));
  TB_RETURN_IF_ERROR(CheckUnused(fd.get(), path));
  // Or some kernels let a ring's writes fail where they would have to wait.
  if (::fcntl(fd.get(), F_SETFL, 0) != 0) return Status::System(errno, "F_SETFL", path);
  return fd;
}

}  // namespace tensorbundle::io
