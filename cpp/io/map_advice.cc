#include "io/map_advice.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/arithmetic.h"
#include "io/posix_calls.h"

namespace tensorbundle::io {
namespace {

// Of linux/mman.h, Linux 5.14; the same number on every architecture.
constexpr int kMadvPopulateRead = 22;

// IOV_MAX of Linux: ranges per call of process_vm_readv(2).
constexpr size_t kMaxRanges = 1024;

int Advise(Bytes pages, int advice) {
  // One type for all advice; none that is given here changes the bytes.
  auto* address = const_cast<std::byte*>(pages.data());
  return RetryOnInterrupt([&] { return ::madvise(address, pages.size(), advice); });
}

int NumberOf(MapAdvice advice) {
  switch (advice) {
    case MapAdvice::kNormal: return MADV_NORMAL;
    case MapAdvice::kSequential: return MADV_SEQUENTIAL;
    case MapAdvice::kRandom: return MADV_RANDOM;
    case MapAdvice::kWillNeed: return MADV_WILLNEED;
    case MapAdvice::kPopulate: return kMadvPopulateRead;
  }
  return MADV_NORMAL;
}

Status CannotPopulate(int error_number, const std::string& path) {
  // "Bad address" would tell of a bug in the program, not of a disk.
  return Status::System(error_number == EFAULT ? EIO : error_number, "populate map", path);
}

// Reads a byte of each of the first pages; how many pages, or -1.
ssize_t TouchPages(Bytes pages) {
  std::array<std::byte, kMaxRanges> bytes;
  std::array<iovec, kMaxRanges> ranges;
  const uint64_t page = MapPageSize();
  const size_t count = std::min(kMaxRanges, CeilDivide(pages.size(), page));
  for (size_t i = 0; i < count; ++i) {
    ranges[i] = {const_cast<std::byte*>(pages.subspan(i * page).data()), 1};
  }
  const iovec out = {bytes.data(), count};
  return ::process_vm_readv(::getpid(), &out, 1, ranges.data(), count, 0);
}

}  // namespace

uint64_t MapPageSize() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

Status AdviseMap(Bytes pages, MapAdvice advice, const std::string& path) {
  if (Advise(pages, NumberOf(advice)) == 0 || advice != MapAdvice::kPopulate) return Status();
  if (errno == EINVAL) return PopulateByReading(pages, path);
  return CannotPopulate(errno, path);
}

Status PopulateByReading(Bytes pages, const std::string& path) {
  while (!pages.empty()) {
    const ssize_t touched = TouchPages(pages);
    if (touched < 0 && (errno == EPERM || errno == ENOSYS)) {  // a sandbox
      static_cast<void>(Advise(pages, MADV_WILLNEED));
      return Status();
    }
    if (touched < 0) return CannotPopulate(errno, path);
    pages =
        pages.subspan(std::min(pages.size(), static_cast<uint64_t>(touched) * MapPageSize()));
  }
  return Status();
}

}  // namespace tensorbundle::io
