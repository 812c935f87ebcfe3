// What a disk refuses: no space, too big a file, a failed sync or close.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "io/posix_file.h"
#include "io/posix_storage.h"
#include "io/scarcity.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"

namespace tensorbundle::io {
namespace {

class PosixErrorsTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.Path(name); }
  int OpenFile(const std::string& name) const {
    return ::open(Path(name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  }

  TempDirectory directory_;
  const std::unique_ptr<Storage> storage_ = MakePosixStorage();
};

TEST_F(PosixErrorsTest, AFullDiskIsFoundByAllocateBeforeAnyWrite) {
  const std::string failed = WithSmallDisk(directory_.path(), [&] {
    auto file = storage_->Create(Path("f"));
    ASSERT_OK(file.status());
    EXPECT_OK((*file)->Allocate(500000));
    ExpectSystemError((*file)->Allocate(uint64_t{8} << 20), ENOSPC, Path("f"));
  });
  if (!failed.empty()) GTEST_SKIP() << failed;
}

TEST_F(PosixErrorsTest, AFullDiskFailsTheWriteWhereItStopped) {
  const std::string failed = WithSmallDisk(directory_.path(), [&] {
    auto file = storage_->Create(Path("f"));
    ASSERT_OK(file.status());
    const std::string text(size_t{2} << 20, 'x');
    const Status status = (*file)->WriteAt(0, AsBytes(text));
    ExpectSystemError(status, ENOSPC, Path("f"));
    EXPECT_EQ(status.offset(), uint64_t{1} << 20);
  });
  if (!failed.empty()) GTEST_SKIP() << failed;
}

TEST_F(PosixErrorsTest, AFileBeyondTheSizeLimitIsRefusedByEveryCallThatGrowsIt) {
  auto file = storage_->Create(Path("f"));
  ASSERT_OK(file.status());
  std::vector<Status> statuses;
  {
    const FileSizeLimit limit(10000);
    const std::string text(20000, 'x');
    statuses.push_back((*file)->WriteAt(0, AsBytes(text)));
    statuses.push_back((*file)->Truncate(20000));
    statuses.push_back((*file)->Allocate(20000));
  }
  for (const Status& status : statuses) ExpectSystemError(status, EFBIG, Path("f"));
  EXPECT_EQ(statuses[0].offset(), 10000u);  // what fits was written
}

TEST_F(PosixErrorsTest, AFailedSyncIsFinal) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const UniqueFd reading_end(pipe_ends[0]);
  PosixWritableFile file(Path("f"), UniqueFd(pipe_ends[1]));
  ExpectSystemError(file.Sync(), EINVAL, Path("f"));  // a pipe cannot be synced
  // The same descriptor made sound again: fdatasync(2) would now succeed, as it does
  // after the kernel has dropped the pages it could not write.
  const UniqueFd sound(OpenFile("sound"));
  ASSERT_EQ(::dup2(sound.get(), pipe_ends[1]), pipe_ends[1]);
  ExpectSystemError(file.Sync(), EINVAL, Path("f"));
  ExpectSystemError(file.Close(), EINVAL, Path("f"));
  EXPECT_EQ(::fcntl(pipe_ends[1], F_GETFD), -1) << "not closed";
}

TEST_F(PosixErrorsTest, AFailedCloseIsAnError) {
  const int fd = OpenFile("f");
  PosixWritableFile file(Path("f"), UniqueFd(fd));
  ::close(fd);
  ExpectSystemError(file.Close(), EBADF, Path("f"));
}

TEST_F(PosixErrorsTest, AFileSystemThatCannotReserveIsNoError) {
  // /proc has no fallocate(2).
  const UniqueFd probe(::open("/proc/self/comm", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(probe.valid());
  ASSERT_EQ(::fallocate(probe.get(), 0, 0, 4096), -1);
  ASSERT_EQ(errno, EOPNOTSUPP);
  PosixWritableFile file("/proc/self/comm",
                         UniqueFd(::open("/proc/self/comm", O_RDWR | O_CLOEXEC)));
  EXPECT_OK(file.Allocate(4096));
}

TEST_F(PosixErrorsTest, AFailedReadSaysWhere) {
  // Page 0 of this process is not mapped: the kernel answers EIO.
  const auto memory = storage_->OpenForRead("/proc/self/mem");
  ASSERT_OK(memory.status());
  std::string text(8, '?');
  const Status status = (*memory)->ReadAt(16, std::as_writable_bytes(std::span(text)));
  ExpectSystemError(status, EIO, "/proc/self/mem");
  EXPECT_EQ(status.offset(), 16u);
}

}  // namespace
}  // namespace tensorbundle::io
