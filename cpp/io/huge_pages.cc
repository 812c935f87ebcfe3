#include "io/huge_pages.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>

#include "base/alignment.h"

namespace tensorbundle::io {
namespace {

// PAGEMAP_SCAN as Linux 6.7 has it (Documentation/admin-guide/mm/pagemap.rst).  Not the C
// library's: its headers are older.
constexpr uint64_t kPageIsHuge = 1u << 6;     // PAGE_IS_HUGE: mapped by one entry, or hugetlb
constexpr uint64_t kPageIsPresent = 1u << 3;  // PAGE_IS_PRESENT
struct ScanArguments {
  uint64_t size = sizeof(ScanArguments);
  uint64_t flags = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t walk_end = 0;
  uint64_t regions = 0;  // the address of an array
  uint64_t num_regions = 0;
  uint64_t max_pages = 0;
  uint64_t category_inverted = 0;
  uint64_t category_mask = 0;
  uint64_t category_anyof_mask = 0;
  uint64_t return_mask = 0;
};
struct ScannedRegion {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t categories = 0;
};
static_assert(sizeof(ScanArguments) == 96);
static_assert(sizeof(ScannedRegion) == 24);
constexpr unsigned long kPageMapScan = _IOWR('f', 16, ScanArguments);

}  // namespace

HugePages::HugePages() : page_map_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}

bool HugePages::MayHold(const std::byte* address) const {
  if (!page_map_.valid()) return true;
  const auto page_size = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  ScannedRegion region;
  ScanArguments scan;
  scan.begin =
      AlignDown(static_cast<uint64_t>(reinterpret_cast<uintptr_t>(address)), page_size);
  scan.end = scan.begin + page_size;
  scan.regions = reinterpret_cast<uintptr_t>(&region);
  scan.num_regions = 1;
  scan.category_mask = kPageIsPresent;
  scan.return_mask = kPageIsHuge;
  const int found = ::ioctl(page_map_.get(), kPageMapScan, &scan);
  // One that is not there yet comes as whatever the kernel likes when it is read.
  return found != 1 || (region.categories & kPageIsHuge) != 0;
}

}  // namespace tensorbundle::io
