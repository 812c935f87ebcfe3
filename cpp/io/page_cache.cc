#include "io/page_cache.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "base/arithmetic.h"
#include "io/backend.h"

namespace tensorbundle::io {
namespace {

// Of linux/mman.h and asm/unistd.h, Linux 6.5; the same number on every architecture.
constexpr long kCachestatCall = 451;
struct CachestatRange {
  uint64_t offset;
  uint64_t size;  // 0: to the end
};
struct Cachestat {
  uint64_t cached;  // pages, as are the others
  uint64_t dirty;
  uint64_t writeback;
  uint64_t evicted;
  uint64_t recently_evicted;
};

// What is asked of mincore(2) at once: its answer takes a byte per page.
constexpr uint64_t kWindowSize = uint64_t{1} << 30;

uint64_t PageSize() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

double Share(uint64_t cached_pages, uint64_t file_size) {
  const uint64_t pages = CeilDivide(file_size, PageSize());
  // A large page of the cache may reach past the end of the file.
  return static_cast<double>(std::min(cached_pages, pages)) / static_cast<double>(pages);
}

// The pages of [offset, offset + size) that are in the cache.
//
// REQUIRES: `offset` is a multiple of the window
Result<uint64_t> CachedPages(int fd, const std::string& path, uint64_t offset, uint64_t size) {
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (address == MAP_FAILED) return Status::System(errno, "mmap", path);
  std::vector<unsigned char> resident(CeilDivide(size, PageSize()));
  const int answer = ::mincore(address, size, resident.data());
  const int error_number = errno;
  ::munmap(address, size);
  if (answer != 0) return Status::System(error_number, "mincore", path);
  // mincore(2): only the lowest bit means something.
  return static_cast<uint64_t>(std::count_if(resident.begin(), resident.end(),
                                             [](unsigned char page) { return page & 1; }));
}

}  // namespace

Result<double> CachedShareByCachestat(const RegularFile& file, const std::string& path) {
  CachestatRange whole = {0, 0};
  Cachestat found = {};
  if (::syscall(kCachestatCall, file.fd.get(), &whole, &found, 0U) != 0) {
    return Status::System(errno, "cachestat", path);
  }
  return Share(found.cached, file.size);
}

Result<double> CachedShareByMincore(const RegularFile& file, const std::string& path) {
  uint64_t cached = 0;
  for (uint64_t offset = 0; offset < file.size; offset += kWindowSize) {
    const uint64_t size = std::min(kWindowSize, file.size - offset);
    TB_ASSIGN_OR_RETURN(const uint64_t pages, CachedPages(file.fd.get(), path, offset, size));
    cached += pages;
  }
  return Share(cached, file.size);
}

Result<double> CachedShare(const std::string& path) {
  TB_ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(path));
  if (file.size == 0) return 1.0;
  const Result<double> share = CachedShareByCachestat(file, path);
  return share.ok() ? share : CachedShareByMincore(file, path);
}

}  // namespace tensorbundle::io
