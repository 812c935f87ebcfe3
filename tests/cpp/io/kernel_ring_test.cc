// The kernel's own ring, and real errors through it.

#include "io/kernel_ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/alignment.h"
#include "io/aligned_buffer.h"
#include "io/posix_file.h"
#include "io/ring_queue.h"
#include "io/scarcity.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"

namespace tensorbundle::io {
namespace {

class KernelRingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = WhyNot(Backend::kUring, directory_.path());
    if (!why_not.empty()) GTEST_SKIP() << why_not;
  }
  std::string Path(const std::string& name) const { return directory_.Path(name); }

  TempDirectory directory_;
  const std::unique_ptr<Storage> storage_ = MakeStorage(Backend::kUring);
  const AlignedBuffer memory_ = std::move(*AlignedBuffer::Allocate(uint64_t{8} << 20));
};

size_t OpenDescriptors() { return MakePosixStorage()->List("/proc/self/fd")->size(); }

// Of all descriptors that name a ring: how many another program would inherit.
int InheritedRings(int* rings) {
  int inherited = 0;
  *rings = 0;
  for (int fd = 3; fd < 256; ++fd) {
    char target[64] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(link.c_str(), target, sizeof(target) - 1) < 0) continue;
    if (std::string(target) != "anon_inode:[io_uring]") continue;
    ++*rings;
    if ((::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) ++inherited;
  }
  return inherited;
}

TEST_F(KernelRingTest, AUringQueueIsARingThatNoOtherProgramInherits) {
  int rings = 0;
  EXPECT_EQ(InheritedRings(&rings), 0);
  EXPECT_EQ(rings, 0);
  const auto queue = storage_->MakeQueue({});
  EXPECT_EQ(InheritedRings(&rings), 0);
  EXPECT_EQ(rings, 1);
}

TEST_F(KernelRingTest, NothingIsLeftOpen) {
  const size_t before = OpenDescriptors();
  {
    const auto queue = storage_->MakeQueue({});
    const auto file = storage_->CreateDirect(Path("a"));
    ASSERT_OK(file.status());
    ASSERT_OK(queue->SubmitWrite(**file, 0, memory_.bytes()).status());
  }
  EXPECT_TRUE(ProbeUring().available);
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_F(KernelRingTest, AQueueMayBeUsedByAnotherThreadThanTheOneThatMadeIt) {
  auto queue = storage_->MakeQueue({});
  const auto file = storage_->CreateDirect(Path("a"));
  ASSERT_OK(file.status());
  std::thread([&] {
    EXPECT_OK(queue->SubmitWrite(**file, 0, memory_.bytes()).status());
    EXPECT_OK(queue->WaitAll());
  }).join();
  queue.reset();
}

TEST_F(KernelRingTest, AWriteToADescriptorForReadingFails) {
  WriteFile(*storage_, Path("a"), "x");
  PosixWritableFile file(Path("a"), UniqueFd(::open(Path("a").c_str(), O_RDONLY | O_CLOEXEC)));
  const auto queue = storage_->MakeQueue({});
  const auto ticket = queue->SubmitWrite(file, 8192, memory_.bytes().first(4096));
  ASSERT_OK(ticket.status());  // the kernel's answer comes later
  const Status status = queue->Wait(*ticket);
  ExpectSystemError(status, EBADF, Path("a"));
  EXPECT_EQ(status.offset(), 8192u);
  EXPECT_EQ(status.message(), "io_uring write: Bad file descriptor");
}

TEST_F(KernelRingTest, AFileBeyondTheSizeLimitIsRefused) {
  const auto file = storage_->CreateDirect(Path("a"));
  ASSERT_OK(file.status());
  Status status;
  {
    const FileSizeLimit limit(1 << 20);
    const auto queue = storage_->MakeQueue({});
    ASSERT_OK(queue->SubmitWrite(**file, 0, memory_.bytes()).status());
    status = queue->WaitAll();
  }
  ExpectSystemError(status, EFBIG, Path("a"));
}

TEST_F(KernelRingTest, AFullDiskFailsTheTransferWhereItStopped) {
  const std::string failed = WithSmallDisk(directory_.path(), [&] {
    const auto file = storage_->Create(Path("a"));
    ASSERT_OK(file.status());
    const auto queue = storage_->MakeQueue({});
    ASSERT_OK(queue->SubmitWrite(**file, 0, memory_.bytes().first(2 << 20)).status());
    const Status status = queue->WaitAll();
    ExpectSystemError(status, ENOSPC, Path("a"));
    EXPECT_EQ(status.offset(), uint64_t{1} << 20);
  });
  if (!failed.empty()) GTEST_SKIP() << failed;
}

TEST_F(KernelRingTest, AFileThatShrankSinceItWasOpenedIsTold) {
  WriteFile(*storage_, Path("a"), std::string(10000, 'x'));
  const auto file = storage_->OpenDirect(Path("a"));
  ASSERT_OK(file.status());
  ASSERT_EQ(::truncate(Path("a").c_str(), 700), 0);
  const uint64_t size = AlignUp(10000, (*file)->granule().offset);
  const auto queue = storage_->MakeQueue({});
  ASSERT_OK(queue->SubmitRead(**file, 0, memory_.bytes().first(size)).status());
  ExpectCode(queue->WaitAll(), Code::kConcurrentModification, Path("a"));
  const Status status = (*file)->ReadAt(0, memory_.bytes().first(size));
  ExpectCode(status, Code::kConcurrentModification, Path("a"));
  EXPECT_NE(status.message().find("found 700 before"), std::string::npos);
}

TEST_F(KernelRingTest, AChildOfAForkMayExitWhileTheParentsQueueWorks) {
  const auto file = storage_->CreateDirect(Path("a"));
  ASSERT_OK(file.status());
  const auto queue = storage_->MakeQueue({});
  ASSERT_OK(queue->SubmitWrite(**file, 0, memory_.bytes()).status());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_OK(queue->WaitAll());
  ASSERT_OK((*file)->Close());
}

}  // namespace
}  // namespace tensorbundle::io
