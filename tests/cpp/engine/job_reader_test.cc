#include "engine/job_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "engine/read_plan.h"
#include "io/aligned_buffer.h"
#include "io/backend.h"
#include "io/temp_directory.h"

namespace tensorbundle::engine {
namespace {

constexpr uint64_t kMiB = 1u << 20;
constexpr uint64_t kSize = 5 * kMiB + 77;
constexpr uint64_t kFirst = 64;  // bytes before the tensor

// Fresh memory for one tensor of a file that is read directly, congruent to its place.
class JobReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    storage_ = io::MakeStorage(io::Backend::kDirect);
    const auto traits = io::ProbeDirectory(directory_.path());
    ASSERT_TRUE(traits.ok());
    if (!traits->direct) GTEST_SKIP() << "no direct I/O: " << traits->direct_reason;
    for (size_t i = 0; i < kFirst + kSize; ++i) {
      content_.bytes()[i] = static_cast<std::byte>(i * 31 % 251);
    }
    const auto file = storage_->Create(path_);
    ASSERT_TRUE((*file)->WriteAt(0, content_.bytes()).ok());
    ASSERT_TRUE((*file)->Close().ok());
    auto opened = storage_->OpenDirect(path_);
    ASSERT_TRUE(opened.ok());
    file_ = std::move(*opened);
    request_.entry.offset = kFirst;
    request_.entry.size = kSize;
    request_.out = memory_.bytes().subspan(kFirst);
    request_.fresh = true;
  }

  // Reads the tensor and gives the seconds of its stages.
  TransferSeconds Read(PageSupply& pages) {
    TransferSeconds seconds;
    TimedQueue queue(storage_->MakeQueue({}), seconds);
    const auto scratch = io::AlignedBuffer::Allocate(kScratchSize);
    ReadResources resources;
    resources.scratch = scratch->bytes();
    resources.queue = &queue;
    resources.seconds = &seconds;
    resources.pages = &pages;
    resources.block_size = TransferOptions().BlockSize(true);
    std::atomic<bool> stop = false;
    std::atomic<uint64_t> done = 0;
    JobContext context(0, stop, done);
    std::vector<PartChecksum> parts;
    const ReadJob job = {0, kFirst, kFirst + kSize, {0}};
    const Status status =
        JobReader({&request_, 1}, true, resources, context).Read(job, *file_, parts);
    EXPECT_TRUE(status.ok()) << status.ToString();
    const Bytes wanted = content_.bytes().subspan(kFirst);
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), request_.out.begin()));
    EXPECT_EQ(parts.size(), 1u);
    EXPECT_EQ(parts.front().crc.value(), checksum::Compute(wanted).value());
    EXPECT_EQ(done, kSize);
    return seconds;
  }

  const io::TempDirectory directory_;
  const std::string path_ = directory_.path() + "/data";
  std::unique_ptr<io::Storage> storage_;
  const io::AlignedBuffer content_ = std::move(*io::AlignedBuffer::Allocate(kFirst + kSize));
  const io::AlignedBuffer memory_ = std::move(*io::AlignedBuffer::Allocate(kFirst + kSize));
  std::unique_ptr<io::ReadableFile> file_;
  ReadRequest request_;
};

TEST_F(JobReaderTest, WhereHugePagesAreFastTheDeviceFillsTheDestination) {
  PageSupply pages;
  const TransferSeconds seconds = Read(pages);
  EXPECT_GT(seconds.page_faults, 0);
  EXPECT_GT(seconds.checksum, 0) << "of bytes that were not copied";
}

TEST_F(JobReaderTest, WhereTheyAreSlowItIsCopiedIntoSmallPages) {
  PageSupply pages;
  pages.Measure(1024 * kMiB, 10.0);
  ASSERT_TRUE(pages.prefers_small_pages());
  const TransferSeconds seconds = Read(pages);
  EXPECT_GT(seconds.page_faults, 0);
  EXPECT_EQ(seconds.checksum, 0) << "taken in the same pass as the copy";
  EXPECT_GT(seconds.copy, 0);
}

}  // namespace
}  // namespace tensorbundle::engine
