// Whom a file that is to be written anew is refused to, and what that does to others.

#include "io/unused_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>

#include "io/posix_storage.h"
#include "io/scarcity.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"

namespace tensorbundle::io {
namespace {

class UnusedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = WhyNoReopening(directory_.path());
    if (!why_not.empty()) GTEST_SKIP() << why_not;
    WriteFile(*storage_, path_, std::string(4096, 'x'));
    identity_ = *storage_->Identify(path_);
  }

  const TempDirectory directory_;
  const std::unique_ptr<Storage> storage_ = MakePosixStorage();
  const std::string path_ = directory_.Path("a");
  FileIdentity identity_;
};

TEST_F(UnusedFileTest, AMapWhoseDescriptorIsClosedKeepsTheFileFromUse) {
  for (const int flags : {O_RDONLY, O_RDWR}) {
    for (const int kind : {MAP_SHARED, MAP_PRIVATE}) {
      const int fd = ::open(path_.c_str(), flags);
      void* const map = ::mmap(nullptr, 4096, PROT_READ, kind, fd, 0);
      ASSERT_NE(map, MAP_FAILED);
      ::close(fd);
      ExpectSystemError(OpenUnused(path_, identity_).status(), EBUSY, path_);
      ::munmap(map, 4096);
      EXPECT_OK(OpenUnused(path_, identity_).status());
    }
  }
}

TEST_F(UnusedFileTest, AnotherProcessThatHasItOpenKeepsItFromUse) {
  int ready[2];
  int done[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(done), 0);
  const pid_t child = ::fork();
  char byte = 0;
  if (child == 0) {
    const int fd = ::open(path_.c_str(), O_RDONLY);
    const bool ok =
        fd >= 0 && ::write(ready[1], "r", 1) == 1 && ::read(done[0], &byte, 1) == 1;
    ::_exit(ok ? 0 : 1);
  }
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ExpectSystemError(OpenUnused(path_, identity_).status(), EBUSY, path_);
  ASSERT_EQ(::write(done[1], "d", 1), 1);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_OK(OpenUnused(path_, identity_).status());
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) ::close(fd);
}

TEST_F(UnusedFileTest, ASymbolicLinkIsNotFollowed) {
  const std::string link = directory_.Path("link");
  ASSERT_EQ(::symlink(path_.c_str(), link.c_str()), 0);
  ExpectSystemError(OpenUnused(link, identity_).status(), ELOOP, link);
}

TEST_F(UnusedFileTest, ItHasNoLeaseAndWaitsForItsWrites) {
  const auto fd = OpenUnused(path_, identity_);
  ASSERT_OK(fd.status());
  EXPECT_EQ(::fcntl(fd->get(), F_GETLEASE), F_UNLCK);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0);
}

// The kernel tells the holder of a lease of whoever opens the file, by a signal that by
// default ends the process.
TEST_F(UnusedFileTest, SomebodyWhoOpensItMeanwhileEndsNoProcess) {
  std::atomic<bool> met = false;
  std::atomic<bool> over = false;
  std::thread opener([&] {
    while (!over) {
      const int fd = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
      if (fd < 0 && errno == EWOULDBLOCK) met = true;
      if (fd >= 0) ::close(fd);
    }
  });
  for (int i = 0; i < 3'000'000 && !met; ++i) {
    const Status status = OpenUnused(path_, identity_).status();
    if (!status.ok() && status.error_number() != EBUSY) {
      ADD_FAILURE() << status.ToString();
      break;
    }
  }
  over = true;
  opener.join();
  if (!met) GTEST_SKIP() << "the two have not met";
}

// A map of a file in an overlay is one of the file below it, which the lease does not see.
TEST_F(UnusedFileTest, AnOverlayIsNotTrusted) {
  const std::string root = directory_.path();
  std::string why_not;
  const std::string no_disk = WithDisk({}, root, [&] {
    for (const char* name : {"/lower", "/upper", "/work", "/merged"}) {
      EXPECT_EQ(::mkdir((root + name).c_str(), 0777), 0);
    }
    const std::string merged = root + "/merged";
    const std::string options =
        "lowerdir=" + root + "/lower,upperdir=" + root + "/upper,workdir=" + root + "/work";
    if (::mount("none", merged.c_str(), "overlay", 0, options.c_str()) != 0) {
      why_not = std::string("no overlay: ") + std::strerror(errno);
      return;
    }
    WriteFile(*storage_, merged + "/a", "x");
    const auto identity = storage_->Identify(merged + "/a");
    ExpectSystemError(OpenUnused(merged + "/a", *identity).status(), EOPNOTSUPP,
                      merged + "/a");
  });
  if (!(no_disk + why_not).empty()) GTEST_SKIP() << no_disk << why_not;
}

}  // namespace
}  // namespace tensorbundle::io
