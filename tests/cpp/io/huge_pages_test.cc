#include "io/huge_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "io/mapped_pages.h"

namespace tensorbundle::io {
namespace {

constexpr size_t kHugePageSize = size_t{2} << 20;

// Anonymous memory, touched after such advice; as many bytes more as a huge page needs.
class Memory {
 public:
  explicit Memory(int advice)
      : address_(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0)) {
    EXPECT_NE(address_, MAP_FAILED);
    ::madvise(address_, kSize, advice);
  }
  ~Memory() { ::munmap(address_, kSize); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void Touch() { std::memset(address_, 1, kSize); }
  // In the one huge page that lies whole within it, wherever it begins.
  const std::byte* middle() const {
    return static_cast<const std::byte*>(address_) + kHugePageSize;
  }

 private:
  static constexpr size_t kSize = 3 * kHugePageSize;
  void* address_;
};

bool KernelTells() {
  utsname name = {};
  ::uname(&name);
  int major = 0;
  int minor = 0;
  return std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
         (major > 6 || (major == 6 && minor >= 7));
}

TEST(HugePagesTest, SmallPagesAreToldFromHugeOnes) {
  if (!KernelTells()) GTEST_SKIP() << "needs Linux 6.7";
  Memory small(MADV_NOHUGEPAGE);
  small.Touch();
  Memory huge(MADV_HUGEPAGE);
  huge.Touch();
  const HugePages pages;
  EXPECT_FALSE(pages.MayHold(small.middle()));
  EXPECT_FALSE(pages.MayHold(small.middle() + 5));
  if (HugePageKibibytes(huge.middle()) == 0) GTEST_SKIP() << "the kernel gave no huge page";
  EXPECT_TRUE(pages.MayHold(huge.middle()));
  EXPECT_TRUE(pages.MayHold(huge.middle() + 4097));
}

TEST(HugePagesTest, APageThatIsNotThereYetMayBeAny) {
  const Memory untouched(MADV_NOHUGEPAGE);
  EXPECT_TRUE(HugePages().MayHold(untouched.middle()));
}

}  // namespace
}  // namespace tensorbundle::io
