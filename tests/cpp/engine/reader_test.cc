#include "engine/reader.h"

#include <gtest/gtest.h>

#include "engine/read_plan.h"
#include "engine/tensors.h"
#include "io/aligned_buffer.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

class ReaderTest : public ::testing::Test {
 protected:
  ReaderTest() : storage_(io::MakeMemoryStorage()) {
    tensors_.Add("empty", 0);
    tensors_.Add("large", 3 * kPartSize + 17);
    tensors_.Add("medium", kSmallTensor + 1);
    for (int i = 0; i < 100; ++i) tensors_.Add("small" + std::to_string(i), 1000);
    SaveOptions options;
    options.num_shards = 2;
    EXPECT_TRUE(Save(*storage_, "x", tensors_.views(), options).ok());
  }

  // Requests without destinations.
  std::vector<ReadRequest> Requests(const Bundle& bundle) const {
    std::vector<ReadRequest> requests;
    for (const TensorView& view : tensors_.views()) {
      requests.push_back({std::string(view.name), *bundle.Find(view.name), {}});
    }
    return requests;
  }

  void FlipByteOf(const std::string& name) {
    const auto bundle = Bundle::Open(storage_, "x");
    const auto entry = (*bundle)->Find(name);
    const std::string path = (*bundle)->ShardPath(entry->shard_id);
    std::string content = ReadFile(*storage_, path);
    content[entry->offset + entry->size / 2] ^= 1;
    ASSERT_TRUE(storage_->Remove(path).ok());
    const auto file = storage_->Create(path);
    ASSERT_TRUE((*file)->WriteAt(0, AsBytes(content)).ok());
  }

  std::shared_ptr<io::Storage> storage_;
  TestTensors tensors_;
};

TEST_F(ReaderTest, EveryTensorComesBackByteForByte) {
  const Status status = ExpectHolds(storage_, "x", tensors_);
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST_F(ReaderTest, AFlippedBitIsFoundInEveryKindOfTensor) {
  for (const char* name : {"large", "medium", "small50"}) {
    FlipByteOf(name);
    const auto bundle = Bundle::Open(storage_, "x");
    const Status status = ExpectHolds(storage_, "x", tensors_);
    EXPECT_EQ(status.code(), Code::kDataChecksumMismatch) << name;
    EXPECT_EQ(status.key(), name);
    EXPECT_EQ(status.shard(), (*bundle)->Find(name)->shard_id);
    EXPECT_EQ(status.offset(), (*bundle)->Find(name)->offset);
    EXPECT_EQ(status.path(), (*bundle)->ShardPath((*bundle)->Find(name)->shard_id));
    FlipByteOf(name);
  }
  EXPECT_TRUE(ExpectHolds(storage_, "x", tensors_).ok());
}

TEST_F(ReaderTest, VerifyingFindsEveryFaultAndNothingElse) {
  FlipByteOf("large");
  FlipByteOf("small7");
  const auto bundle = Bundle::Open(storage_, "x");
  const auto requests = Requests(**bundle);
  std::vector<Fault> faults;
  const auto report = VerifyTensors(**bundle, requests, {}, faults);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(requests[faults[0].request].name, "large");
  EXPECT_EQ(requests[faults[1].request].name, "small7");
}

TEST_F(ReaderTest, WithoutVerificationDamagedBytesAreGiven) {
  FlipByteOf("small3");
  const auto bundle = Bundle::Open(storage_, "x");
  std::string out(1000, '?');
  const std::vector<ReadRequest> requests = {
      {"small3",
       *(*bundle)->Find("small3"),
       {reinterpret_cast<std::byte*>(out.data()), out.size()}}};
  ReadOptions options;
  options.verify = false;
  EXPECT_TRUE(ReadTensors(**bundle, requests, options).ok());
  EXPECT_NE(out[0], '?');
}

TEST_F(ReaderTest, AMissingShardIsAFaultOfItsTensorsOnly) {
  const auto bundle = Bundle::Open(storage_, "x");
  const uint32_t lost = (*bundle)->Find("large")->shard_id;
  ASSERT_TRUE(storage_->Remove((*bundle)->ShardPath(lost)).ok());
  const auto requests = Requests(**bundle);
  EXPECT_EQ(CheckRequests(**bundle, requests).code(), Code::kMissingShard);
  std::vector<Fault> faults;
  ASSERT_TRUE(VerifyTensors(**bundle, requests, {}, faults).ok());
  ASSERT_FALSE(faults.empty());
  for (const Fault& fault : faults) {
    EXPECT_EQ(fault.status.code(), Code::kMissingShard);
    EXPECT_EQ(requests[fault.request].entry.shard_id, lost);
  }
  EXPECT_LT(faults.size(), requests.size());
}

TEST_F(ReaderTest, AShortShardIsFoundBeforeAnythingIsRead) {
  const auto sound = Bundle::Open(storage_, "x");
  const std::string path = (*sound)->ShardPath((*sound)->Find("large")->shard_id);
  const std::string content = ReadFile(*storage_, path);
  ASSERT_TRUE(storage_->Remove(path).ok());
  ASSERT_TRUE((*storage_->Create(path))->WriteAt(0, AsBytes(content).first(1000)).ok());
  io::FaultyStorage counting(*storage_);
  // The wrapper is borrowed; the bundle wants to share it.
  const auto bundle =
      Bundle::Open(std::shared_ptr<io::Storage>(std::shared_ptr<void>(), &counting), "x");
  const auto requests = Requests(**bundle);
  const uint64_t reads_of_index = counting.calls(io::Operation::kRead);
  const Status status = ReadTensors(**bundle, requests, {}).status();
  EXPECT_EQ(status.code(), Code::kOutOfBounds);
  EXPECT_EQ(counting.calls(io::Operation::kRead), reads_of_index);
}

TEST_F(ReaderTest, AReadErrorNamesTheTensorAndEndsTheLoad) {
  io::FaultyStorage faulty(*storage_);
  const auto bundle =
      Bundle::Open(std::shared_ptr<io::Storage>(std::shared_ptr<void>(), &faulty), "x");
  const auto requests = Requests(**bundle);
  faulty.FailCall({.operation = io::Operation::kRead,
                   .nth = faulty.calls(io::Operation::kRead) + 1,
                   .error_number = EIO,
                   .for_ever = false});
  const Status status = ReadTensors(**bundle, requests, {}).status();
  EXPECT_EQ(status.error_number(), EIO);
  EXPECT_FALSE(status.key().empty());
}

class StopAtOnce final : public Observer {
 public:
  bool Poll(uint64_t, uint64_t) override { return false; }
};

TEST_F(ReaderTest, AnObserverStopsALoadAndAVerification) {
  const auto bundle = Bundle::Open(storage_, "x");
  const auto requests = Requests(**bundle);
  StopAtOnce observer;
  ReadOptions options;
  options.observer = &observer;
  EXPECT_EQ(ReadTensors(**bundle, requests, options).status().code(), Code::kCancelled);
  std::vector<Fault> faults;
  EXPECT_EQ(VerifyTensors(**bundle, requests, options, faults).status().code(),
            Code::kCancelled);
}

TEST_F(ReaderTest, StringsAreCheckedByTheirOwnRule) {
  const std::string text = "hello";
  const uint64_t shape[] = {2};
  TensorList tensors;
  ASSERT_TRUE(SetStrings({AsBytes(text), Bytes()}, tensors.Add("", "s", shape)).ok());
  ASSERT_TRUE(Save(*storage_, "s", tensors.views(), {}).ok());
  std::string content = ReadFile(*storage_, "s.data-00000-of-00001");
  for (const bool damaged : {false, true}) {
    if (damaged) {
      content.back() ^= 1;
      ASSERT_TRUE(storage_->Remove("s.data-00000-of-00001").ok());
      const auto file = storage_->Create("s.data-00000-of-00001");
      ASSERT_TRUE((*file)->WriteAt(0, AsBytes(content)).ok());
    }
    const auto bundle = Bundle::Open(storage_, "s");
    const std::vector<ReadRequest> requests = {{"s", *(*bundle)->Find("s"), {}}};
    std::vector<Fault> faults;
    ASSERT_TRUE(VerifyTensors(**bundle, requests, {}, faults).ok());
    EXPECT_EQ(faults.size(), damaged ? 1u : 0u);
  }
}

TEST_F(ReaderTest, VariantsWithoutElementsAreCheckedAlthoughNothingIsRead) {
  for (const checksum::Crc32c crc : {checksum::Crc32c(), checksum::Crc32c(1)}) {
    format::Entry entry;
    entry.dtype = format::DType::kVariant;
    entry.shape = {0};
    entry.crc32c = checksum::Mask(crc);
    const ReadRequest request = {"none", entry, {}};
    const auto bundle = Bundle::Open(storage_, "x");
    std::vector<Fault> faults;
    ASSERT_TRUE(VerifyTensors(**bundle, {&request, 1}, {}, faults).ok());
    ASSERT_EQ(faults.empty(), crc == checksum::Crc32c());
    if (faults.empty()) continue;
    EXPECT_EQ(faults.front().status.code(), Code::kDataChecksumMismatch);
    EXPECT_EQ(faults.front().status.key(), "none");
  }
}

TEST_F(ReaderTest, FreshMemoryIsGivenItsPagesAndFilled) {
  const auto bundle = Bundle::Open(storage_, "x");
  std::vector<ReadRequest> requests = Requests(**bundle);
  std::vector<io::AlignedBuffer> memory;
  for (ReadRequest& request : requests) {
    memory.push_back(std::move(*io::AlignedBuffer::Allocate(request.entry.size)));
    request.out = memory.back().bytes();
    request.fresh = true;
  }
  const auto report = ReadTensors(**bundle, requests, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_GT(report->stages.page_faults, 0);
  for (size_t i = 0; i < requests.size(); ++i) {
    const TensorView& view = tensors_.views()[i];
    EXPECT_TRUE(std::equal(view.contiguous.begin(), view.contiguous.end(),
                           requests[i].out.begin(), requests[i].out.end()))
        << view.name;
  }
}

}  // namespace
}  // namespace tensorbundle::engine
