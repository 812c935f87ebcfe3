// Disks that are small or poor, and limits: what real errors are made of.

#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

namespace tensorbundle::io {

// What is mounted on a directory for a while.
struct MountedDisk {
  const char* type = "tmpfs";
  const char* options = "size=1m";
};

// Runs `body` with that disk mounted on `path`; empty, or why it could not.
// The mount is in a name space of one thread and ends with it, whatever happens.
inline std::string WithDisk(const MountedDisk& disk, const std::string& path,
                            const std::function<void()>& body) {
  std::string failed;
  std::thread([&] {
    if (::unshare(CLONE_NEWNS) != 0) {
      failed = std::string("unshare: ") + std::strerror(errno);
    } else if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
               ::mount(disk.type, path.c_str(), disk.type, 0, disk.options) != 0) {
      failed = std::string("mount: ") + std::strerror(errno);
    } else {
      body();
    }
  }).join();
  return failed;
}

// The same with one of 1 MiB.
inline std::string WithSmallDisk(const std::string& path, const std::function<void()>& body) {
  return WithDisk({}, path, body);
}

// Limits the size of new files; lifts the limit again in the end.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t limit) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);  // EFBIG instead of death
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit lower = {limit, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_ = {};
  void (*handler_)(int) = nullptr;
};

}  // namespace tensorbundle::io
