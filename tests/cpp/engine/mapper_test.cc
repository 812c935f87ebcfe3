#include "engine/mapper.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "engine/tensors.h"
#include "format/naming.h"
#include "io/faulty_storage.h"
#include "io/mapped_pages.h"
#include "io/posix_storage.h"
#include "io/temp_directory.h"

namespace tensorbundle::engine {
namespace {

using io::FaultyStorage;
using io::MapAccess;
using io::MapAdvice;
using io::Operation;

const io::FileSystemKind kNetwork = {"nfs", true, false};

// Three tensors in two shards on a disk that can be said to be far away.
class MapperTest : public ::testing::Test {
 protected:
  MapperTest() : memory_(io::MakeMemoryStorage()) {
    for (const char* name : {"a", "b", "c"}) tensors_.Add(name, 5000);
    SaveOptions options;
    options.num_shards = 2;
    EXPECT_TRUE(Save(*memory_, "d/x", tensors_.views(), options).ok());
    storage_ = std::make_shared<FaultyStorage>(*memory_);
  }

  std::unique_ptr<Bundle> Open() {
    auto bundle = Bundle::Open(storage_, "d/x");
    EXPECT_TRUE(bundle.ok());
    return std::move(*bundle);
  }

  std::vector<ReadRequest> Requests(const Bundle& bundle) const {
    std::vector<ReadRequest> requests;
    for (const TensorView& view : tensors_.views()) {
      requests.push_back({std::string(view.name), *bundle.Find(view.name), {}});
    }
    return requests;
  }

  Result<MappedTensors> Map(MapPolicy policy) {
    const auto bundle = Open();
    return MapTensors(*bundle, Requests(*bundle), policy, MapAccess::kReadOnly);
  }

  void ExpectMapped(const Result<MappedTensors>& mapped) const {
    ASSERT_TRUE(mapped.ok());
    EXPECT_EQ(mapped->reason, "");
    for (size_t i = 0; i < tensors_.size(); ++i) {
      ASSERT_TRUE(mapped->views[i].has_value());
      EXPECT_EQ(AsText(mapped->views[i]->bytes), tensors_.bytes(i));
    }
  }

  TestTensors tensors_;
  std::shared_ptr<io::Storage> memory_;
  std::shared_ptr<FaultyStorage> storage_;
};

TEST_F(MapperTest, ALocalDiskIsMapped) {
  ExpectMapped(Map(MapPolicy::kLocal));
  EXPECT_EQ(storage_->calls(Operation::kMap), 2u);  // both shards, once each
  ExpectMapped(Map(MapPolicy::kAlways));
}

TEST_F(MapperTest, OnANetworkFileSystemNothingIsMappedAndTheReasonNamesIt) {
  storage_->PretendFileSystem("d/", kNetwork);
  const auto mapped = Map(MapPolicy::kLocal);
  ASSERT_TRUE(mapped.ok());
  for (const auto& view : mapped->views) EXPECT_FALSE(view.has_value());
  EXPECT_NE(mapped->reason.find("nfs is no local disk"), std::string::npos);
  EXPECT_EQ(storage_->calls(Operation::kMap), 0u);
}

TEST_F(MapperTest, AskedForInSoManyWordsANetworkFileSystemIsMapped) {
  storage_->PretendFileSystem("d/", kNetwork);
  ExpectMapped(Map(MapPolicy::kAlways));
  EXPECT_EQ(storage_->calls(Operation::kMap), 2u);
}

TEST_F(MapperTest, NotAskedForNothingIsMapped) {
  const auto mapped = Map(MapPolicy::kNever);
  ASSERT_TRUE(mapped.ok());
  for (const auto& view : mapped->views) EXPECT_FALSE(view.has_value());
  EXPECT_NE(mapped->reason, "");
  EXPECT_EQ(storage_->calls(Operation::kMap), 0u);
}

TEST_F(MapperTest, EachShardIsDecidedByItsOwnFileSystem) {
  const auto bundle = Open();
  const std::vector<ReadRequest> requests = Requests(*bundle);
  const uint32_t far = requests[0].entry.shard_id;  // a link to another disk, say
  storage_->PretendFileSystem(bundle->ShardPath(far), kNetwork);
  const auto mapped = MapTensors(*bundle, requests, MapPolicy::kLocal, MapAccess::kReadOnly);
  ASSERT_TRUE(mapped.ok());
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(mapped->views[i].has_value(), requests[i].entry.shard_id != far) << i;
  }
}

TEST_F(MapperTest, AFileSystemThatCannotMapIsRead) {
  const io::Fault cannot{
      .operation = Operation::kMap, .error_number = ENODEV, .for_ever = true};
  storage_->FailCall(cannot);
  const auto mapped = Map(MapPolicy::kLocal);
  ASSERT_TRUE(mapped.ok());
  for (const auto& view : mapped->views) EXPECT_FALSE(view.has_value());
  EXPECT_EQ(mapped->reason, "the file system cannot map files");
  const Status forced = Map(MapPolicy::kAlways).status();
  EXPECT_EQ(forced.error_number(), ENODEV);
  EXPECT_EQ(forced.key(), "a");
}

TEST_F(MapperTest, AnyOtherFailureToMapIsAnErrorOfTheTensor) {
  const auto bundle = Open();
  storage_->FailCall({.operation = Operation::kMap, .nth = 1, .error_number = ENOMEM});
  const Status status =
      MapTensors(*bundle, Requests(*bundle), MapPolicy::kLocal, MapAccess::kReadOnly).status();
  EXPECT_EQ(status.error_number(), ENOMEM);
  EXPECT_EQ(status.key(), "a");
}

// ---- prefetch ---------------------------------------------------------------------------

// Two tensors with 32 MiB between them: far from each other's pages, however large.
class PrefetchTest : public ::testing::Test {
 protected:
  static constexpr size_t kSize = 256u << 10;
  static constexpr size_t kGap = 32u << 20;

  PrefetchTest() : storage_(io::MakePosixStorage()) {
    tensors_.Add("first", kSize);
    tensors_.Add("last", kSize);
    SaveOptions options;
    options.alignment = kGap;
    EXPECT_TRUE(Save(*storage_, prefix(), tensors_.views(), options).ok());
    auto bundle = Bundle::Open(storage_, prefix());
    EXPECT_TRUE(bundle.ok());
    bundle_ = std::move(*bundle);
  }

  std::string prefix() const { return directory_.Path("x"); }
  uint64_t MappedKibibytes() const { return io::MappedKibibytes(bundle_->ShardPath(0)); }

  // Maps the tensors and prefetches those whose places are in `wanted`.
  Status Run(MapAdvice advice, const std::vector<size_t>& wanted,
             Observer* observer = nullptr) {
    requests_.clear();
    for (const size_t i : wanted) {
      const std::string name(tensors_.views()[i].name);
      requests_.push_back({name, *bundle_->Find(name), {}});
    }
    TB_ASSIGN_OR_RETURN(
        mapped_, MapTensors(*bundle_, requests_, MapPolicy::kLocal, MapAccess::kReadOnly));
    PrefetchOptions options;
    options.advice = advice;
    options.observer = observer;
    return Prefetch(requests_, mapped_.views, options).status();
  }

  const io::TempDirectory directory_;
  const std::shared_ptr<io::Storage> storage_;
  TestTensors tensors_;
  std::unique_ptr<Bundle> bundle_;
  std::vector<ReadRequest> requests_;
  MappedTensors mapped_;
};

TEST_F(PrefetchTest, PopulateMapsTheWantedTensorAndNotTheOther) {
  ASSERT_TRUE(Run(MapAdvice::kPopulate, {1}).ok());
  EXPECT_GE(MappedKibibytes(), kSize / 1024);
  EXPECT_LT(MappedKibibytes(), kGap / 1024);
}

TEST_F(PrefetchTest, PopulateMapsAllThatIsWanted) {
  ASSERT_TRUE(Run(MapAdvice::kPopulate, {1, 0, 1}).ok());
  EXPECT_GE(MappedKibibytes(), 2 * kSize / 1024);
}

TEST_F(PrefetchTest, OtherAdviceMapsNothing) {
  for (const auto advice : {MapAdvice::kNormal, MapAdvice::kSequential, MapAdvice::kRandom,
                            MapAdvice::kWillNeed}) {
    ASSERT_TRUE(Run(advice, {0, 1}).ok());
    EXPECT_EQ(MappedKibibytes(), 0u);
  }
}

// "rr" is for random, "sr" for sequential.
TEST_F(PrefetchTest, APatternIsForTheWholeMapSoThatTheKernelKeepsOne) {
  ASSERT_TRUE(Run(MapAdvice::kRandom, {1}).ok());
  const auto random = io::MapLines(bundle_->ShardPath(0), "VmFlags:");
  ASSERT_EQ(random.size(), 1u) << "cut into several maps";
  EXPECT_NE(random[0].find(" rr"), std::string::npos) << random[0];
  ASSERT_TRUE(Run(MapAdvice::kSequential, {0}).ok());
  const auto sequential = io::MapLines(bundle_->ShardPath(0), "VmFlags:");
  ASSERT_EQ(sequential.size(), 1u);
  EXPECT_NE(sequential[0].find(" sr"), std::string::npos) << sequential[0];
}

TEST_F(PrefetchTest, WhatIsNotMappedIsLeftOut) {
  ASSERT_TRUE(Run(MapAdvice::kNormal, {0, 1}).ok());
  mapped_.views[0].reset();
  ASSERT_TRUE(Prefetch(requests_, mapped_.views, {.advice = MapAdvice::kPopulate}).ok());
  EXPECT_GE(MappedKibibytes(), kSize / 1024);
  EXPECT_LT(MappedKibibytes(), 2 * kSize / 1024);
}

TEST_F(PrefetchTest, AFileThatShrankIsAnErrorAndNotASignal) {
  ASSERT_TRUE(Run(MapAdvice::kNormal, {0, 1}).ok());
  std::filesystem::resize_file(bundle_->ShardPath(0), kSize);
  const Status status =
      Prefetch(requests_, mapped_.views, {.advice = MapAdvice::kPopulate}).status();
  EXPECT_EQ(status.error_number(), EIO);
  EXPECT_EQ(status.path(), bundle_->ShardPath(0));
}

TEST_F(PrefetchTest, AnObserverStopsIt) {
  struct Stop final : Observer {
    bool Poll(uint64_t, uint64_t total) override {
      EXPECT_EQ(total, 2 * kSize);
      return false;
    }
  } stop;
  EXPECT_EQ(Run(MapAdvice::kPopulate, {0, 1}, &stop).code(), Code::kCancelled);
}

}  // namespace
}  // namespace tensorbundle::engine
