#include "io/direct_io.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>

namespace tensorbundle::io {
namespace {

// Where the kernel does not say: the largest block of common devices, and a page.
constexpr Granule kUnknownGranule = {4096, 4096};

// statx(2) as Linux 6.1 has it.  Not the C library's: older headers lack these fields
// (Debian 11, manylinux).
constexpr unsigned kStatxDioAlign = 0x2000;  // STATX_DIOALIGN
struct Statx {
  uint32_t mask;  // what the kernel filled in
  std::array<std::byte, 148> others;
  uint32_t dio_mem_align;
  uint32_t dio_offset_align;
  std::array<std::byte, 96> spare;
};
static_assert(offsetof(Statx, dio_mem_align) == 0x98);  // linux/stat.h
static_assert(sizeof(Statx) == 0x100);

Status NoDirectIo(const std::string& path) {
  return Status::System(
      EINVAL, "O_DIRECT: no direct I/O on this file system, \"buffered\" would work", path);
}

}  // namespace

Result<Granule> MakeDirect(int fd, const std::string& path) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return Status::System(errno, "fcntl", path);
  if (::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) {
    return errno == EINVAL ? NoDirectIo(path) : Status::System(errno, "fcntl", path);
  }
  Statx attributes = {};
  const long answer = ::syscall(SYS_statx, fd, "", AT_EMPTY_PATH, kStatxDioAlign, &attributes);
  if (answer != 0 || (attributes.mask & kStatxDioAlign) == 0) return kUnknownGranule;
  // statx(2): zeros where this file has no direct I/O, though others may (encrypted,
  // journalled or compressed ones).
  if (attributes.dio_offset_align == 0 || attributes.dio_mem_align == 0) {
    return NoDirectIo(path);
  }
  const Granule granule = {attributes.dio_offset_align, attributes.dio_mem_align};
  const bool sound =
      std::has_single_bit(granule.offset) && std::has_single_bit(granule.memory);
  return sound ? granule : kUnknownGranule;
}

}  // namespace tensorbundle::io
