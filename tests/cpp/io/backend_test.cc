// Probes: what a path can do, and why not more.

#include "io/backend.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>

#include "io/file_system.h"
#include "io/hidden_file.h"
#include "io/page_cache.h"
#include "io/scarcity.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"

namespace tensorbundle::io {
namespace {

TEST(BackendTest, BackendsHaveNames) {
  EXPECT_EQ(BackendName(Backend::kBuffered), "buffered");
  EXPECT_EQ(BackendName(Backend::kDirect), "direct");
  EXPECT_EQ(BackendName(Backend::kUring), "uring");
}

TEST(BackendTest, FileSystemsAreKnownByTheirNumbers) {
  EXPECT_EQ(FileSystemOf(0xEF53).name, "ext4");
  EXPECT_EQ(FileSystemOf(0x58465342).name, "xfs");
  EXPECT_EQ(FileSystemOf(0x794C7630).name, "overlay");
  EXPECT_TRUE(FileSystemOf(0x01021994).is_memory);
  EXPECT_FALSE(FileSystemOf(0x01021994).is_network);
  EXPECT_TRUE(FileSystemOf(0x6969).is_network);
  EXPECT_TRUE(FileSystemOf(0x65735546).is_network);
  EXPECT_EQ(FileSystemOf(0xFE534D42).name, "smb2");
  const FileSystemKind unknown = FileSystemOf(0x12345678);
  EXPECT_EQ(unknown.name, "0x12345678");
  EXPECT_FALSE(unknown.is_network || unknown.is_memory);
}

class ProbeTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.Path(name); }
  size_t Names() const { return MakePosixStorage()->List(directory_.path())->size(); }

  TempDirectory directory_;
};

// Whether the temporary directory is on a file system known for its direct I/O.
bool OnExt4OrXfs(const std::string& path) {
  struct statfs attributes = {};
  if (::statfs(path.c_str(), &attributes) != 0) return false;
  const std::string name = FileSystemOf(static_cast<uint32_t>(attributes.f_type)).name;
  return name == "ext4" || name == "xfs";
}

TEST_F(ProbeTest, ADirectoryOnADiskIsDirect) {
  if (!OnExt4OrXfs(directory_.path())) GTEST_SKIP() << "neither ext4 nor xfs";
  const auto traits = ProbeDirectory(directory_.path());
  ASSERT_OK(traits.status());
  EXPECT_TRUE(traits->direct) << traits->direct_reason;
  EXPECT_EQ(traits->direct_reason, "");
  EXPECT_GE(traits->granule.offset, 512u);
  EXPECT_FALSE(traits->is_memory || traits->is_network);
  EXPECT_EQ(Names(), 0u) << "the probe left a file";
}

TEST_F(ProbeTest, AFileOnADiskIsDirect) {
  if (!OnExt4OrXfs(directory_.path())) GTEST_SKIP() << "neither ext4 nor xfs";
  const auto storage = MakePosixStorage();
  for (const size_t size : {size_t{0}, size_t{1}, size_t{10000}}) {
    const std::string path = Path(std::to_string(size));
    WriteFile(*storage, path, std::string(size, 'x'));
    const auto traits = ProbeFile(path);
    ASSERT_OK(traits.status());
    EXPECT_TRUE(traits->direct) << traits->direct_reason;
    EXPECT_EQ(traits->granule, ProbeDirectory(directory_.path())->granule);
  }
}

TEST_F(ProbeTest, MemoryIsNotDirectAndTheReasonSaysSo) {
  const std::string failed = WithSmallDisk(directory_.path(), [&] {
    WriteFile(*MakePosixStorage(), Path("a"), "x");
    for (const auto& traits : {ProbeDirectory(directory_.path()), ProbeFile(Path("a"))}) {
      ASSERT_OK(traits.status());
      EXPECT_EQ(traits->file_system, "tmpfs");
      EXPECT_TRUE(traits->is_memory);
      EXPECT_FALSE(traits->direct);
      EXPECT_EQ(traits->direct_reason, "tmpfs is in memory, without a device");
      EXPECT_EQ(traits->granule, Granule());
    }
  });
  if (!failed.empty()) GTEST_SKIP() << failed;
}

TEST_F(ProbeTest, SharedMemoryIsNotDirect) {
  if (::access("/dev/shm", W_OK) != 0) GTEST_SKIP() << "no /dev/shm";
  const auto traits = ProbeDirectory("/dev/shm");
  ASSERT_OK(traits.status());
  EXPECT_FALSE(traits->direct);
  EXPECT_NE(traits->direct_reason, "");
}

TEST_F(ProbeTest, ADirectoryThatMayNotBeWrittenSaysNothingOfDirectIo) {
  const uid_t user = ::geteuid();
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0555), 0);
  if (user == 0 && ::seteuid(65534) != 0) GTEST_SKIP() << "root cannot become nobody";
  const Status status = ProbeDirectory(directory_.path()).status();
  ASSERT_EQ(::seteuid(user), 0);
  EXPECT_EQ(status.error_number(), EACCES);  // the error itself, not "no direct I/O"
}

TEST_F(ProbeTest, WhatIsNotThereCannotBeProbed) {
  WriteFile(*MakePosixStorage(), Path("a"), "x");
  ExpectSystemError(ProbeDirectory(Path("no")).status(), ENOENT, Path("no"));
  ExpectSystemError(ProbeDirectory(Path("a")).status(), ENOTDIR, Path("a"));
  ExpectSystemError(ProbeFile(Path("no")).status(), ENOENT, Path("no"));
  ExpectCode(ProbeFile(directory_.path()).status(), Code::kNotRegularFile, directory_.path());
}

TEST_F(ProbeTest, HiddenFilesHaveNoName) {
  for (const auto& create : {CreateUnnamedFile, CreateUnlinkedFile, CreateHiddenFile}) {
    const auto first = create(directory_.path());
    const auto second = create(directory_.path());
    if (!first.ok() && first.status().error_number() == EOPNOTSUPP) continue;
    ASSERT_OK(first.status());
    ASSERT_OK(second.status());
    EXPECT_EQ(Names(), 0u);
    struct stat attributes = {};
    ASSERT_EQ(::fstat(first->get(), &attributes), 0);
    EXPECT_EQ(attributes.st_nlink, 0u);
    EXPECT_NE(::fcntl(first->get(), F_GETFD) & FD_CLOEXEC, 0);
  }
  ExpectSystemError(CreateHiddenFile(Path("no")).status(), ENOENT, Path("no"));
}

TEST(ProbeUringTest, EitherThereIsARingOrAReason) {
  const UringSupport support = ProbeUring();
  EXPECT_EQ(support.available, support.reason.empty()) << support.reason;
}

class CachedShareTest : public ProbeTest {
 protected:
  void SetUp() override {
    if (!OnExt4OrXfs(directory_.path())) GTEST_SKIP() << "neither ext4 nor xfs";
    WriteFile(*MakePosixStorage(), Path("a"), std::string(kSize, 'x'));
    ASSERT_EQ(::fsync(fd().get()), 0);
  }
  UniqueFd fd() const { return UniqueFd(::open(Path("a").c_str(), O_RDWR | O_CLOEXEC)); }
  // Drops the file's pages, which fsync(2) has made clean.
  void Evict() const { ASSERT_EQ(::posix_fadvise(fd().get(), 0, 0, POSIX_FADV_DONTNEED), 0); }

  static constexpr uint64_t kSize = (uint64_t{4} << 20) + 5;
};

TEST_F(CachedShareTest, ItFallsToNothingAndRisesToAll) {
  Evict();
  EXPECT_LT(*CachedShare(Path("a")), 0.01);
  ReadFile(*MakePosixStorage(), Path("a"));
  EXPECT_EQ(*CachedShare(Path("a")), 1.0);
}

TEST_F(CachedShareTest, BothWaysToAskAgree) {
  const auto file = OpenRegularFile(Path("a"));
  ASSERT_OK(file.status());
  for (const bool cached : {false, true}) {
    Evict();
    if (cached) ReadFile(*MakePosixStorage(), Path("a"));
    const auto mincore = CachedShareByMincore(*file, Path("a"));
    ASSERT_OK(mincore.status());
    EXPECT_NEAR(*mincore, cached ? 1.0 : 0.0, 0.01);
    const auto cachestat = CachedShareByCachestat(*file, Path("a"));
    if (cachestat.status().error_number() == ENOSYS) GTEST_SKIP() << "an older kernel";
    ASSERT_OK(cachestat.status());
    EXPECT_NEAR(*cachestat, *mincore, 0.01);
  }
}

TEST_F(CachedShareTest, AnEmptyFileLacksNothing) {
  WriteFile(*MakePosixStorage(), Path("empty"), "");
  EXPECT_EQ(*CachedShare(Path("empty")), 1.0);
  ExpectSystemError(CachedShare(Path("no")).status(), ENOENT, Path("no"));
}

}  // namespace
}  // namespace tensorbundle::io
