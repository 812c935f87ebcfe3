#include "io/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace tensorbundle::io {
namespace {

int OpenNull() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST(UniqueFdTest, TheDescriptorIsClosedWithItsOwner) {
  const int fd = OpenNull();
  {
    const UniqueFd owner(fd);
    EXPECT_TRUE(owner.valid());
    EXPECT_EQ(owner.get(), fd);
  }
  EXPECT_FALSE(IsOpen(fd));
}

TEST(UniqueFdTest, AMovedFromOwnerHasNone) {
  UniqueFd first(OpenNull());
  const int fd = first.get();
  UniqueFd second(std::move(first));
  EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(second.get(), fd);
}

TEST(UniqueFdTest, MoveAssignmentClosesTheOldOneAtOnce) {
  UniqueFd first(OpenNull());
  UniqueFd second(OpenNull());
  const int old = first.get();
  const int kept = second.get();
  first = std::move(second);
  EXPECT_FALSE(IsOpen(old));
  EXPECT_EQ(first.get(), kept);
  UniqueFd& itself = first;
  first = std::move(itself);
  EXPECT_TRUE(IsOpen(kept));
}

TEST(UniqueFdTest, AReleasedDescriptorStaysOpen) {
  int fd = -1;
  {
    UniqueFd owner(OpenNull());
    fd = owner.release();
    EXPECT_FALSE(owner.valid());
  }
  EXPECT_TRUE(IsOpen(fd));
  ::close(fd);
}

}  // namespace
}  // namespace tensorbundle::io
