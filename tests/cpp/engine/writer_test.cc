#include "engine/writer.h"

#include <gtest/gtest.h>

#include "engine/extent_writer.h"
#include "engine/extents.h"
#include "engine/tensors.h"
#include "format/naming.h"
#include "io/faulty_storage.h"
#include "io/huge_pages.h"

namespace tensorbundle::engine {
namespace {

using Names = std::vector<std::string>;

class WriterTest : public ::testing::Test {
 protected:
  WriterTest() : storage_(io::MakeMemoryStorage()) {
    EXPECT_TRUE(storage_->MakeDirectory("d").ok());
  }

  std::shared_ptr<io::Storage> storage_;
};

SaveOptions Options(uint32_t num_shards, uint64_t alignment) {
  SaveOptions options;
  options.num_shards = num_shards;
  options.alignment = alignment;
  options.num_threads = 3;
  return options;
}

TEST_F(WriterTest, DensePackingIsTheTensorsOneAfterTheOther) {
  TestTensors tensors;
  tensors.AddText("b", "second");
  tensors.AddText("a", "first");
  ASSERT_TRUE(Save(*storage_, "d/x", tensors.views(), Options(1, 1)).ok());
  EXPECT_EQ(ReadFile(*storage_, "d/x.data-00000-of-00001"), "secondfirst");
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"x.data-00000-of-00001", "x.index"}));
}

TEST_F(WriterTest, GapsBetweenAlignedTensorsAreZeros) {
  TestTensors tensors;
  tensors.AddText("a", "one");
  tensors.AddText("b", "two");
  ASSERT_TRUE(Save(*storage_, "d/x", tensors.views(), Options(1, 8)).ok());
  EXPECT_EQ(ReadFile(*storage_, "d/x.data-00000-of-00001"),
            std::string("one\0\0\0\0\0two", 11));
}

TEST_F(WriterTest, EverySizeAroundABlockComesBack) {
  TestTensors tensors;
  int n = 0;
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{65535}, size_t{65536}, size_t{65537}, size_t{262143},
        size_t{262145}, kMaxStagingSlot - 1, kMaxStagingSlot + 1, size_t{kExtentSize} - 1,
        size_t{kExtentSize} + 1, size_t{2 * kExtentSize + 12345}}) {
    tensors.Add("t" + std::to_string(n++), size);
  }
  for (const uint32_t num_shards : {1u, 2u, 5u}) {
    for (const uint64_t alignment : {1u, 64u, 4096u}) {
      const std::string prefix =
          "d/x" + std::to_string(num_shards) + "-" + std::to_string(alignment);
      const auto report =
          Save(*storage_, prefix, tensors.views(), Options(num_shards, alignment));
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_EQ(report->num_shards, num_shards);
      EXPECT_EQ(report->zero_copy_bytes + report->staged_bytes, report->tensor_bytes);
      const Status held = ExpectHolds(storage_, prefix, tensors);
      EXPECT_TRUE(held.ok()) << held.ToString();
    }
  }
}

TEST_F(WriterTest, ManySmallTensorsShareWrites) {
  TestTensors tensors;
  for (int i = 0; i < 5000; ++i) tensors.Add("t" + std::to_string(i), 64);
  const auto report = Save(*storage_, "d/x", tensors.views(), Options(2, 64));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->staged_bytes, 5000u * 64);
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", tensors).ok());
}

// Of a large tensor in small pages, on a device that would rather have huge ones.
struct PagesCase {
  bool prefers_huge_pages;
  ZeroCopy zero_copy;
  bool is_zero_copy;  // what is expected
};

TEST_F(WriterTest, SmallPagesAreStagedWhereTheDeviceIsSlowedDownByThem) {
  TestTensors tensors;
  tensors.Add("w", 6 << 20);
  if (io::HugePages().MayHold(AsBytes(tensors.bytes(0)).data() + (3 << 20))) {
    GTEST_SKIP() << "huge pages are given unasked, or the kernel does not tell";
  }
  for (const PagesCase& given :
       {PagesCase{true, ZeroCopy::kWhereFaster, false},
        PagesCase{false, ZeroCopy::kWhereFaster, true},
        PagesCase{true, ZeroCopy::kAlways, true}, PagesCase{false, ZeroCopy::kNever, false}}) {
    io::FaultyStorage disk(*storage_);
    disk.ActAsDevice({.granule = {512, 512}, .prefers_huge_pages = given.prefers_huge_pages});
    SaveOptions options = Options(1, 16);
    options.direct = true;
    options.memory_granule = 512;
    options.zero_copy = given.zero_copy;
    const auto report = Save(disk, "d/x", tensors.views(), options);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->zero_copy_bytes > 0, given.is_zero_copy);
    EXPECT_EQ(report->zero_copy_bytes + report->staged_bytes, report->tensor_bytes);
    EXPECT_TRUE(ExpectHolds(storage_, "d/x", tensors).ok());
  }
}

TEST_F(WriterTest, ABundleOfNoTensorsCanBeOpened) {
  ASSERT_TRUE(Save(*storage_, "d/x", {}, Options(4, 64)).ok());
  const auto bundle = Bundle::Open(storage_, "d/x");
  ASSERT_TRUE(bundle.ok());
  EXPECT_EQ((*bundle)->header().num_shards, 1u);
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"x.data-00000-of-00001", "x.index"}));
}

TEST_F(WriterTest, OverwritingTakesAnotherCountAndRemovesTheOldFiles) {
  TestTensors first(1);
  first.Add("w", 100'000);
  TestTensors second(2);
  second.Add("w", 100'000);
  ASSERT_TRUE(Save(*storage_, "d/x", first.views(), Options(1, 64)).ok());
  ASSERT_TRUE(Save(*storage_, "d/x", second.views(), Options(1, 64)).ok());
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"x.data-00000-of-00002", "x.index"}));
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", second).ok());
  ASSERT_TRUE(Save(*storage_, "d/x", first.views(), Options(1, 64)).ok());
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"x.data-00000-of-00001", "x.index"}));
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", first).ok());
}

TEST_F(WriterTest, OnlyFilesOfThatVeryPrefixAreTouched) {
  TestTensors tensors;
  tensors.Add("w", 10);
  for (const char* foreign :
       {"d/x1.data-00000-of-00001", "d/x.data-0-of-1", "d/x.data-00000-of-00001.bak",
        "d/x.index.tmp", "d/.y.index.tmp.0123456789abcdef", "d/xx.index"}) {
    ASSERT_TRUE((*storage_->Create(foreign))->Close().ok());
  }
  ASSERT_TRUE(Save(*storage_, "d/x", tensors.views(), Options(1, 64)).ok());
  ASSERT_TRUE(Save(*storage_, "d/x", tensors.views(), Options(1, 64)).ok());
  EXPECT_EQ(ListSorted(*storage_, "d").size(), 8u);
}

TEST_F(WriterTest, LitterOfAKilledSaveIsSwept) {
  TestTensors tensors;
  tensors.Add("w", 10);
  for (const std::string& litter : {format::TemporaryPath("d/x.index", 7),
                                    format::TemporaryPath("d/x.data-00000-of-00003", 8),
                                    std::string("d/x.data-00001-of-00003")}) {
    ASSERT_TRUE((*storage_->Create(litter))->Close().ok());
  }
  ASSERT_TRUE(Save(*storage_, "d/x", tensors.views(), Options(1, 64)).ok());
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"x.data-00000-of-00001", "x.index"}));
}

TEST_F(WriterTest, AMissingDirectoryIsMadeOneLevelDeep) {
  TestTensors tensors;
  tensors.Add("w", 10);
  EXPECT_TRUE(Save(*storage_, "d/new/x", tensors.views(), Options(1, 64)).ok());
  const Status two = Save(*storage_, "d/a/b/x", tensors.views(), Options(1, 64)).status();
  EXPECT_EQ(two.error_number(), ENOENT);
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"new"}));
}

TEST_F(WriterTest, BadNamesAreRefusedBeforeAnyFileIsTouched) {
  const std::vector<Names> cases = {{""},
                                    {"a", "b", "a"},
                                    {std::string("\0v\0\1\1\1\x80\x7f", 8)},
                                    {std::string(2 << 20, 'x')}};
  for (const Names& names : cases) {
    TestTensors tensors;
    for (const std::string& name : names) tensors.Add(name, 4);
    const Status status = Save(*storage_, "d/x", tensors.views(), Options(1, 64)).status();
    EXPECT_EQ(status.code(), names.size() > 1 ? Code::kAlreadyExists : Code::kInvalidArgument);
    EXPECT_EQ(status.key(), names[0]);
  }
  EXPECT_TRUE(ListSorted(*storage_, "d").empty());
}

// Runs a second save of the same prefix from inside the first.
class SaveAgain final : public Observer {
 public:
  SaveAgain(io::Storage& storage, const TestTensors& tensors)
      : storage_(storage), tensors_(tensors) {}
  bool Poll(uint64_t, uint64_t) override {
    if (inner.ok()) inner = Save(storage_, "d/x", tensors_.views(), {}).status();
    return true;
  }
  Status inner;

 private:
  io::Storage& storage_;
  const TestTensors& tensors_;
};

TEST_F(WriterTest, ASecondSaveOfThePrefixIsRefusedAtOnce) {
  TestTensors tensors;
  tensors.Add("w", 1000);
  SaveAgain observer(*storage_, tensors);
  SaveOptions options = Options(1, 64);
  options.observer = &observer;
  ASSERT_TRUE(Save(*storage_, "d/x", tensors.views(), options).ok());
  EXPECT_EQ(observer.inner.code(), Code::kLocked);
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"x.data-00000-of-00001", "x.index"}));
}

class StopAtOnce final : public Observer {
 public:
  bool Poll(uint64_t, uint64_t) override { return false; }
};

TEST_F(WriterTest, ACancelledSaveLeavesTheOldBundleAndNothingElse) {
  TestTensors first(1);
  first.Add("w", 5 << 20);
  TestTensors second(2);
  second.Add("w", 40 << 20);
  ASSERT_TRUE(Save(*storage_, "d/x", first.views(), Options(1, 64)).ok());
  StopAtOnce observer;
  SaveOptions options = Options(2, 64);
  options.observer = &observer;
  EXPECT_EQ(Save(*storage_, "d/x", second.views(), options).status().code(), Code::kCancelled);
  EXPECT_EQ(Save(*storage_, "d/new/x", second.views(), options).status().code(),
            Code::kCancelled);
  EXPECT_EQ(ListSorted(*storage_, "d"), (Names{"x.data-00000-of-00001", "x.index"}));
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", first).ok());
}

TEST_F(WriterTest, TheReportTellsOfARefusedQueue) {
  TestTensors tensors;
  tensors.Add("w", 1000);
  io::FaultyStorage storage(*storage_);
  storage.RefuseQueues("io_uring_setup: Operation not permitted");
  const auto report = Save(storage, "d/x", tensors.views(), Options(1, 64));
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->queue_reason, "io_uring_setup: Operation not permitted");
  EXPECT_EQ(Save(*storage_, "d/x", tensors.views(), Options(1, 64))->queue_reason, "");
}

TEST_F(WriterTest, AQueueIsMadeAsTheCallerWants) {
  TestTensors tensors;
  tensors.Add("w", 1000);
  io::FaultyStorage storage(*storage_);
  SaveOptions options = Options(1, 64);
  options.transfer.block_size = 3 << 16;
  options.transfer.queue_depth = 5;
  ASSERT_TRUE(Save(storage, "d/x", tensors.views(), options).ok());
  EXPECT_EQ(storage.last_queue().block_size, uint64_t{3} << 16);
  EXPECT_EQ(storage.last_queue().depth, 5u);
}

TEST_F(WriterTest, TheStagesAreWithinTheTimeThatPassed) {
  TestTensors tensors;
  tensors.Add("large", 40 << 20);
  for (int i = 0; i < 100; ++i) tensors.Add("small" + std::to_string(i), 1000);
  SaveOptions options = Options(2, 64);
  options.num_threads = 2;
  const auto report = Save(*storage_, "d/x", tensors.views(), options);
  ASSERT_TRUE(report.ok());
  const TransferSeconds& stages = report->stages;
  const double threads =
      stages.copy + stages.checksum + stages.submit + stages.wait + stages.sync;
  EXPECT_GT(stages.checksum, 0);
  EXPECT_GT(stages.copy, 0);
  EXPECT_GT(stages.submit, 0);
  EXPECT_GT(threads, 0.5 * report->write_seconds) << "most of the time is in some stage";
  EXPECT_LE(threads, 2 * report->write_seconds);
  EXPECT_LE(report->plan_seconds + report->write_seconds + report->publish_seconds +
                report->remove_seconds,
            report->seconds);
}

}  // namespace
}  // namespace tensorbundle::engine
