#include "io/posix_calls.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "io/file_faults.h"

namespace tensorbundle::io {

std::string DescribeMode(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "a regular file";
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a FIFO";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a character device";
    case S_IFBLK: return "a block device";
    case S_IFLNK: return "a symbolic link";
    default: return "a file of an unknown kind";
  }
}

Result<RegularFile> OpenRegularFile(const std::string& path) {
  // O_NONBLOCK: a FIFO without a writer would block open(2) itself, before fstat(2)
  // can tell.  O_NOCTTY: a terminal must not become ours.  Neither matters to a
  // regular file.
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  UniqueFd fd(RetryOnInterrupt([&] { return ::open(path.c_str(), kFlags); }));
  if (!fd.valid()) {
    // open(2): a socket, or a device that is not there.
    if (errno == ENXIO || errno == ENODEV) return NotRegularFile(path, "a socket or device");
    return Status::System(errno, "open", path);
  }
  struct stat attributes = {};
  if (::fstat(fd.get(), &attributes) != 0) return Status::System(errno, "fstat", path);
  if (!S_ISREG(attributes.st_mode)) {
    return NotRegularFile(path, DescribeMode(attributes.st_mode));
  }
  return RegularFile{std::move(fd),
                     static_cast<uint64_t>(attributes.st_size),
                     {attributes.st_dev, attributes.st_ino}};
}

}  // namespace tensorbundle::io
