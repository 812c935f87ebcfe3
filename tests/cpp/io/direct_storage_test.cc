// What only direct I/O shows: granules, misaligned requests, file systems without it.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "io/aligned_buffer.h"
#include "io/backend.h"
#include "io/direct_io.h"
#include "io/file_request.h"
#include "io/scarcity.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"
#include "io/transfer_queue.h"

namespace tensorbundle::io {
namespace {

class DirectStorageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string why_not = WhyNot(Backend::kDirect, directory_.path());
    if (!why_not.empty()) GTEST_SKIP() << why_not;
  }
  std::string Path(const std::string& name) const { return directory_.Path(name); }

  TempDirectory directory_;
  const std::unique_ptr<Storage> storage_ = MakeStorage(Backend::kDirect);
  const AlignedBuffer memory_ = std::move(*AlignedBuffer::Allocate(16384));
};

TEST_F(DirectStorageTest, FilesTellTheGranuleThatTheProbeFound) {
  const Granule probed = ProbeDirectory(directory_.path())->granule;
  EXPECT_GT(probed.offset, 1u);
  const auto writer = storage_->CreateDirect(Path("a"));
  ASSERT_OK(writer.status());
  EXPECT_EQ((*writer)->granule(), probed);
  const auto reader = storage_->OpenDirect(Path("a"));
  ASSERT_OK(reader.status());
  EXPECT_EQ((*reader)->granule(), probed);
}

TEST_F(DirectStorageTest, TheGranuleIsWhatTheKernelSays) {
#ifdef STATX_DIOALIGN
  WriteFile(*storage_, Path("a"), "x");
  struct statx attributes = {};
  ASSERT_EQ(::statx(AT_FDCWD, Path("a").c_str(), 0, STATX_DIOALIGN, &attributes), 0);
  if ((attributes.stx_mask & STATX_DIOALIGN) == 0) GTEST_SKIP() << "it does not say";
  const auto file = storage_->OpenDirect(Path("a"));
  ASSERT_OK(file.status());
  EXPECT_EQ((*file)->granule().offset, attributes.stx_dio_offset_align);
  EXPECT_EQ((*file)->granule().memory, attributes.stx_dio_mem_align);
#else
  GTEST_SKIP() << "headers older than Linux 6.1";
#endif
}

TEST_F(DirectStorageTest, OnlyDirectFilesAreDirect) {
  const auto direct = storage_->CreateDirect(Path("direct"));
  const auto buffered = storage_->Create(Path("buffered"));
  ASSERT_OK(direct.status());
  ASSERT_OK(buffered.status());
  EXPECT_NE(::fcntl((*direct)->descriptor(), F_GETFL) & O_DIRECT, 0);
  EXPECT_EQ(::fcntl((*buffered)->descriptor(), F_GETFL) & O_DIRECT, 0);
  EXPECT_EQ((*buffered)->granule(), Granule());
  const auto other = MakeStorage(Backend::kBuffered)->CreateDirect(Path("other"));
  ASSERT_OK(other.status());
  EXPECT_EQ(::fcntl((*other)->descriptor(), F_GETFL) & O_DIRECT, 0);
}

TEST_F(DirectStorageTest, DirectWritesAreNotInThePageCache) {
  const auto file = storage_->CreateDirect(Path("a"));
  ASSERT_OK(file.status());
  ASSERT_OK((*file)->WriteAt(0, memory_.bytes()));
  const auto share = CachedShare(Path("a"));
  ASSERT_OK(share.status());
  EXPECT_EQ(*share, 0.0);
}

TEST_F(DirectStorageTest, AnExistingFileIsKept) {
  WriteFile(*storage_, Path("a"), "kept");
  ExpectSystemError(storage_->CreateDirect(Path("a")).status(), EEXIST, Path("a"));
  EXPECT_EQ(ReadFile(*storage_, Path("a")), "kept");
}

TEST_F(DirectStorageTest, WhatIsNotAFileIsNotOpened) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  ExpectCode(storage_->OpenDirect(Path("fifo")).status(), Code::kNotRegularFile, Path("fifo"));
  ExpectCode(storage_->OpenDirect(directory_.path()).status(), Code::kNotRegularFile,
             directory_.path());
  ExpectSystemError(storage_->OpenDirect(Path("no")).status(), ENOENT, Path("no"));
}

TEST_F(DirectStorageTest, AFileSystemWithoutDirectIoIsAnErrorThatNamesTheWayOut) {
  const std::string failed = WithDisk({"ramfs", ""}, directory_.path(), [&] {
    const Status created = storage_->CreateDirect(Path("a")).status();
    ExpectSystemError(created, EINVAL, Path("a"));
    EXPECT_NE(created.message().find("no direct I/O on this file system"), std::string::npos);
    EXPECT_NE(created.message().find("\"buffered\" would work"), std::string::npos);
    EXPECT_FALSE(*storage_->Exists(Path("a"))) << "left behind";
    WriteFile(*storage_, Path("b"), "x");
    ExpectSystemError(storage_->OpenDirect(Path("b")).status(), EINVAL, Path("b"));
    EXPECT_OK(MakeStorage(Backend::kBuffered)->CreateDirect(Path("c")).status());
  });
  if (!failed.empty()) GTEST_SKIP() << failed;
}

#ifdef NDEBUG
TEST_F(DirectStorageTest, AMisalignedRequestIsAClearError) {
  const auto file = storage_->CreateDirect(Path("a"));
  ASSERT_OK(file.status());
  const uint64_t granule = (*file)->granule().offset;
  const Status status = (*file)->WriteAt(1, memory_.bytes().first(granule));
  ExpectCode(status, Code::kInvalidArgument, Path("a"));
  EXPECT_EQ(status.offset(), 1u);
  WriteFile(*storage_, Path("b"), std::string(8192, 'x'));
  const auto reader = storage_->OpenDirect(Path("b"));
  ASSERT_OK(reader.status());
  ExpectCode((*reader)->ReadAt(0, memory_.bytes().subspan(1, granule)), Code::kInvalidArgument,
             Path("b"));
  const auto queue = MakeStorage(Backend::kUring)->MakeQueue({});
  ExpectCode(queue->SubmitRead(**reader, 0, memory_.bytes().first(1)).status(),
             Code::kInvalidArgument, Path("b"));
}
#else
TEST_F(DirectStorageTest, AMisalignedRequestIsAsserted) {
  const auto file = storage_->CreateDirect(Path("a"));
  ASSERT_OK(file.status());
  const uint64_t granule = (*file)->granule().offset;
  EXPECT_DEATH(static_cast<void>((*file)->WriteAt(1, memory_.bytes().first(granule))),
               "aligned.ok");
}
#endif

TEST(CheckAlignedTest, OffsetSizeAndMemoryMustSuit) {
  const AlignedBuffer memory = std::move(*AlignedBuffer::Allocate(16384));
  const Granule granule = {4096, 512};
  EXPECT_OK(CheckAligned(granule, 8192, memory.bytes().first(4096)));
  EXPECT_OK(CheckAligned(granule, 0, memory.bytes().subspan(512, 8192)));
  EXPECT_OK(CheckAligned(granule, 0, Bytes()));
  EXPECT_OK(CheckAligned({}, 3, memory.bytes().subspan(1, 5)));
  const auto refused = [](const Status& status) {
    return status.code() == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused(CheckAligned(granule, 512, memory.bytes().first(4096))));
  EXPECT_TRUE(refused(CheckAligned(granule, 0, memory.bytes().first(4608))));
  EXPECT_TRUE(refused(CheckAligned(granule, 0, memory.bytes().subspan(64, 4096))));
  EXPECT_EQ(CheckAligned(granule, 0, memory.bytes().subspan(64, 100)).message(),
            "expected a direct transfer in multiples of 4096 bytes, of memory at multiples "
            "of 512, found 100 bytes, of memory 64 past one");
}

}  // namespace
}  // namespace tensorbundle::io
