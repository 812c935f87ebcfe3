#include "io/hidden_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/text.h"
#include "io/posix_calls.h"

namespace tensorbundle::io {
namespace {

constexpr mode_t kMode = 0600;

}  // namespace

Result<UniqueFd> CreateUnnamedFile(const std::string& directory) {
  // O_EXCL: it can never be given a name.
  constexpr int kFlags = O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC;
  UniqueFd fd(RetryOnInterrupt([&] { return ::open(directory.c_str(), kFlags, kMode); }));
  if (!fd.valid()) return Status::System(errno, "open", directory);
  return fd;
}

Result<UniqueFd> CreateUnlinkedFile(const std::string& directory) {
  std::array<uint32_t, 4> random = {};
  if (::getrandom(random.data(), sizeof(random), 0) != sizeof(random)) {
    return Status::System(errno, "getrandom", directory);
  }
  std::string path = directory + "/.tensorbundle-probe";
  for (const uint32_t part : random) {
    path += '-';
    path += Hex(part);
  }
  constexpr int kFlags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  UniqueFd fd(RetryOnInterrupt([&] { return ::open(path.c_str(), kFlags, kMode); }));
  if (!fd.valid()) return Status::System(errno, "open", path);
  if (::unlink(path.c_str()) != 0) return Status::System(errno, "unlink", path);
  return fd;
}

Result<UniqueFd> CreateHiddenFile(const std::string& directory) {
  Result<UniqueFd> unnamed = CreateUnnamedFile(directory);
  const int reason = unnamed.status().error_number();
  const bool unknown = reason == EOPNOTSUPP || reason == EISDIR || reason == EINVAL;
  return unknown ? CreateUnlinkedFile(directory) : std::move(unnamed);
}

}  // namespace tensorbundle::io
