#include "engine/stream_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/assembly.h"
#include "engine/tensors.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

constexpr uint64_t kMemory = 256u << 10;  // so that 64 KiB are large

class StreamWriterTest : public ::testing::Test {
 protected:
  std::unique_ptr<StreamWriter> Open(const SaveOptions& options = {},
                                     Coverage coverage = Coverage::kFull) {
    auto writer = StreamWriter::Open(storage_, "d/x", options, coverage, kMemory);
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
    return std::move(writer).value();
  }

  Status AddAll(StreamWriter& writer, const TestTensors& tensors) {
    for (const TensorView& view : tensors.views()) {
      TB_RETURN_IF_ERROR(writer.Add(view, nullptr));
    }
    return Status();
  }

  // Of all sizes around those that matter, in random order.
  static std::unique_ptr<TestTensors> Mixed(unsigned seed) {
    std::mt19937 random(seed);
    std::vector<size_t> sizes = {0, 1, 63, 64, 511, 512, 513, 65535, 65536, 65537, 300'000};
    for (int i = 0; i < 60; ++i) sizes.push_back(random() % 20'000);
    for (int i = 0; i < 6; ++i) sizes.push_back(random() % 500'000);
    std::shuffle(sizes.begin(), sizes.end(), random);
    auto tensors = std::make_unique<TestTensors>(seed);
    for (size_t i = 0; i < sizes.size(); ++i) tensors->Add("t" + std::to_string(i), sizes[i]);
    return tensors;
  }

  // Many that fill the memory a few times, and none that is large.
  static std::unique_ptr<TestTensors> Small(unsigned seed) {
    std::mt19937 random(seed);
    auto tensors = std::make_unique<TestTensors>(seed);
    for (int i = 0; i < 500; ++i) tensors->Add("t" + std::to_string(i), random() % 3000);
    return tensors;
  }

  // Writes to a device that takes whole granules, and reads back.
  void ExpectSameOnDevice(const TestTensors& tensors, bool is_ring, uint64_t alignment) {
    io::FaultyStorage device(*storage_);
    device.ActAsDevice({{512, 512}, is_ring, false, 0});
    SaveOptions options;
    options.alignment = alignment;
    options.direct = true;
    options.memory_granule = 512;
    options.transfer.block_size = 64u << 10;
    const std::shared_ptr<io::Storage> borrowed(&device, [](io::Storage*) {});
    auto writer = StreamWriter::Open(borrowed, "d/x", options, Coverage::kFull, kMemory);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(AddAll(**writer, tensors).ok());
    const auto report = (*writer)->Finish(nullptr);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_TRUE(ExpectHolds(storage_, "d/x", tensors).ok()) << alignment;
    uint64_t tensor_bytes = 0;
    for (const TensorView& view : tensors.views()) tensor_bytes += view.size;
    EXPECT_EQ(report->tensor_bytes, tensor_bytes);
  }

  std::shared_ptr<io::Storage> storage_ = io::MakeMemoryStorage();
};

TEST_F(StreamWriterTest, WhatWasAddedIsReadBackWhateverTheSizes) {
  for (unsigned seed = 0; seed < 6; ++seed) {
    for (const uint64_t alignment : {1u, 64u, 4096u, 1u << 20}) {
      SaveOptions options;
      options.alignment = alignment;
      options.num_shards = seed % 3 + 1;
      const auto owned = Mixed(seed);
      const TestTensors& tensors = *owned;
      const auto writer = Open(options);
      ASSERT_TRUE(AddAll(*writer, tensors).ok());
      const auto report = writer->Finish(nullptr);
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_EQ(report->num_tensors, tensors.size());
      EXPECT_EQ(report->zero_copy_bytes + report->staged_bytes, report->tensor_bytes);
      EXPECT_TRUE(ExpectHolds(storage_, "d/x", tensors).ok()) << seed << ", " << alignment;
    }
  }
}

TEST_F(StreamWriterTest, PackedDenselyTheFilesAreThoseOfASave) {
  SaveOptions options;
  options.alignment = 1;
  const auto owned = Mixed(7);
  const TestTensors& tensors = *owned;
  ASSERT_TRUE(Save(*storage_, "d/saved", tensors.views(), options).ok());
  const auto writer = Open(options);
  ASSERT_TRUE(AddAll(*writer, tensors).ok());
  ASSERT_TRUE(writer->Finish(nullptr).ok());
  EXPECT_TRUE(ReadFile(*storage_, "d/x.index") == ReadFile(*storage_, "d/saved.index"));
  EXPECT_TRUE(ReadFile(*storage_, "d/x.data-00000-of-00001") ==
              ReadFile(*storage_, "d/saved.data-00000-of-00001"));
}

// The last granule of each write is written again with the next.
TEST_F(StreamWriterTest, PastThePageCacheTheTensorsAreTheSame) {
  for (const bool is_ring : {false, true}) {
    for (const uint64_t alignment : {1u, 64u, 4096u}) {
      ExpectSameOnDevice(*Mixed(8), is_ring, alignment);
      ExpectSameOnDevice(*Small(9), is_ring, alignment);
    }
  }
}

TEST_F(StreamWriterTest, ShardsAreFilledEvenly) {
  SaveOptions options;
  options.num_shards = 3;
  TestTensors tensors;
  for (int i = 0; i < 30; ++i) tensors.Add("t" + std::to_string(i), 70'000);
  const auto writer = Open(options);
  ASSERT_TRUE(AddAll(*writer, tensors).ok());
  const auto report = writer->Finish(nullptr);
  EXPECT_EQ(report->num_shards, 3u);
  for (const char* shard : {"00000", "00001", "00002"}) {
    const auto size =
        ReadFile(*storage_, std::string("d/x.data-") + shard + "-of-00003").size();
    EXPECT_NEAR(static_cast<double>(size), 700'000, 70'100) << shard;
  }
}

TEST_F(StreamWriterTest, ABundleOfNothingHasOneEmptyFile) {
  SaveOptions options;
  options.num_shards = 4;
  ASSERT_TRUE(Open(options)->Finish(nullptr).ok());
  EXPECT_EQ(ListSorted(*storage_, "d"),
            (std::vector<std::string>{"x.data-00000-of-00004", "x.index"}));
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", TestTensors()).ok());
}

TEST_F(StreamWriterTest, UntilItIsFinishedTheOldBundleIsThere) {
  TestTensors old(1);
  old.Add("a", 100);
  ASSERT_TRUE(Save(*storage_, "d/x", old.views(), {}).ok());
  const auto owned = Mixed(2);
  const TestTensors& tensors = *owned;
  {
    const auto writer = Open();
    ASSERT_TRUE(AddAll(*writer, tensors).ok());
    EXPECT_TRUE(ExpectHolds(storage_, "d/x", old).ok());
    EXPECT_EQ(Save(*storage_, "d/x", old.views(), {}).status().code(), Code::kLocked);
  }  // neither finished nor aborted
  EXPECT_EQ(ListSorted(*storage_, "d").size(), 2u);
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", old).ok());
  const auto writer = Open();
  ASSERT_TRUE(AddAll(*writer, tensors).ok());
  writer->Abort();
  writer->Abort();
  EXPECT_EQ(ListSorted(*storage_, "d").size(), 2u);
  const Status status = writer->Add(old.views()[0], nullptr);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.message(), "the writer was aborted");
  EXPECT_EQ(writer->Finish(nullptr).status().code(), Code::kInvalidArgument);
}

TEST_F(StreamWriterTest, WhatIsRefusedChangesNothing) {
  TestTensors tensors;
  tensors.Add("a", 100);
  tensors.Add("", 100);
  tensors.Add("b", 100'000);
  const auto writer = Open();
  ASSERT_TRUE(writer->Add(tensors.views()[0], nullptr).ok());
  EXPECT_EQ(writer->Add(tensors.views()[0], nullptr).code(), Code::kAlreadyExists);
  EXPECT_EQ(writer->Add(tensors.views()[1], nullptr).code(), Code::kInvalidArgument);
  ASSERT_TRUE(writer->Add(tensors.views()[2], nullptr).ok());
  ASSERT_TRUE(writer->Finish(nullptr).ok());
  EXPECT_EQ(writer->Add(tensors.views()[2], nullptr).message(), "the writer is finished");
  const auto bundle = Bundle::Open(storage_, "d/x");
  EXPECT_TRUE((*bundle)->Find("a").ok());
  EXPECT_TRUE((*bundle)->Find("b").ok());
}

TEST_F(StreamWriterTest, AFailedWriteEndsItAndSaysWhy) {
  io::FaultyStorage disk(*storage_);
  disk.FailCall({.operation = io::Operation::kWrite, .nth = 1, .error_number = ENOSPC});
  const std::shared_ptr<io::Storage> borrowed(&disk, [](io::Storage*) {});
  auto writer = StreamWriter::Open(borrowed, "d/x", {}, Coverage::kFull, kMemory);
  TestTensors tensors;
  tensors.Add("a", 100);
  tensors.Add("large", 100'000);
  ASSERT_TRUE((*writer)->Add(tensors.views()[0], nullptr).ok());
  const Status status = (*writer)->Add(tensors.views()[1], nullptr);
  EXPECT_EQ(status.error_number(), ENOSPC);
  EXPECT_EQ(status.key(), "large");
  EXPECT_FALSE((*writer)->is_open());
  EXPECT_TRUE(ListSorted(*storage_, ".").empty()) << "not even the directory";
  const Status after = (*writer)->Finish(nullptr).status();
  EXPECT_NE(after.message().find("No space left"), std::string::npos) << after.ToString();
}

TEST_F(StreamWriterTest, ThreadsMayAddAtOnceAndAnotherFinish) {
  SaveOptions options;
  options.num_shards = 2;
  const auto writer = Open(options);
  TestTensors tensors;
  for (int i = 0; i < 200; ++i) {
    tensors.Add("t" + std::to_string(i), i % 10 == 0 ? 90'000u : 700u);
  }
  std::vector<std::thread> threads;
  for (size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      for (size_t i = first; i < tensors.size(); i += 4) {
        EXPECT_TRUE(writer->Add(tensors.views()[i], nullptr).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::thread([&] { EXPECT_TRUE(writer->Finish(nullptr).ok()); }).join();
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", tensors).ok());
}

class StreamedPartsTest : public StreamWriterTest {
 protected:
  // A part of bytes of "v", of shape [4,6].
  Status AddPart(StreamWriter& writer, const format::Slice& slice,
                 const std::vector<uint64_t>& shape, const std::string& bytes,
                 const format::Shape& whole = {4, 6},
                 format::DType dtype = format::DType::kUint8) {
    TensorView view;
    view.name = "v";
    view.shape = shape;
    view.dtype = dtype;
    view.size = bytes.size();
    view.contiguous = AsBytes(bytes);
    return writer.AddPart(view, whole, slice, nullptr);
  }
};

TEST_F(StreamedPartsTest, PartsOfATensorAreReadAsOne) {
  const auto writer = Open();
  EXPECT_TRUE(AddPart(*writer, {{2, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx").ok());
  EXPECT_TRUE(AddPart(*writer, {{0, 2}, {3, 3}}, {2, 3}, "defjkl").ok());
  const Status gap = writer->Finish(nullptr).status();
  EXPECT_EQ(gap.code(), Code::kInvalidArgument);
  EXPECT_EQ(gap.key(), "v");
  EXPECT_TRUE(AddPart(*writer, {{0, 2}, {0, 3}}, {2, 3}, "abcghi").ok());
  const auto report = writer->Finish(nullptr);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->num_tensors, 1u);

  const auto bundle = Bundle::Open(storage_, "d/x");
  std::vector<ReadRequest> tensors(1);
  tensors[0].name = "v";
  tensors[0].entry = *(*bundle)->Find("v");
  EXPECT_EQ(tensors[0].entry.slices.size(), 3u);
  const auto assembly = Assembly::Make(**bundle, tensors);
  ASSERT_TRUE(assembly.ok()) << assembly.status().ToString();
  std::string out(tensors[0].entry.size, '?');
  tensors[0].out = {reinterpret_cast<std::byte*>(out.data()), out.size()};
  ASSERT_TRUE(ReadTensors(**bundle, assembly->Requests(tensors), {}).ok());
  EXPECT_EQ(out, "abcdefghijklmnopqrstuvwx");
}

TEST_F(StreamedPartsTest, GapsAreAcceptedWhereTheyAreAskedFor) {
  const auto writer = Open({}, Coverage::kPartial);
  EXPECT_TRUE(AddPart(*writer, {{2, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx").ok());
  EXPECT_TRUE(writer->Finish(nullptr).ok());
}

TEST_F(StreamedPartsTest, PartsThatDoNotFitAreRefused) {
  const auto writer = Open();
  EXPECT_TRUE(AddPart(*writer, {{2, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx").ok());
  const auto code = [](const Status& status) { return status.code(); };
  constexpr auto kRefused = Code::kInvalidArgument;
  // There already, overlapping, outside, of another shape, of another whole, of another type.
  EXPECT_EQ(code(AddPart(*writer, {{2, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx")), kRefused);
  EXPECT_EQ(code(AddPart(*writer, {{1, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx")), kRefused);
  EXPECT_EQ(code(AddPart(*writer, {{3, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx")), kRefused);
  EXPECT_EQ(code(AddPart(*writer, {{0, 2}, {0, 6}}, {2, 5}, "mnopqrstuv")), kRefused);
  EXPECT_EQ(code(AddPart(*writer, {{0, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx", {5, 6})),
            kRefused);
  EXPECT_EQ(code(AddPart(*writer, {{0, 2}, {0, 6}}, {2, 6}, "mnopqrstuvwx", {4, 6},
                         format::DType::kInt8)),
            kRefused);
  EXPECT_EQ(code(AddPart(*writer, {{0, 4}, {}}, {4, 6}, std::string(24, 'x'))),
            Code::kAlreadyExists);
  TestTensors whole;
  whole.Add("v", 24);
  EXPECT_EQ(code(writer->Add(whole.views()[0], nullptr)), Code::kAlreadyExists);
  EXPECT_TRUE(AddPart(*writer, {{0, 2}, {0, 6}}, {2, 6}, "abcdefghijkl").ok());
  EXPECT_TRUE(writer->Finish(nullptr).ok());
}

TEST_F(StreamedPartsTest, OneThatIsAllIsStoredAsATensor) {
  const auto writer = Open();
  EXPECT_TRUE(AddPart(*writer, {{0, 4}, {}}, {4, 6}, "abcdefghijklmnopqrstuvwx").ok());
  EXPECT_EQ(AddPart(*writer, {{0, 2}, {}}, {2, 6}, "abcdefghijkl").code(),
            Code::kAlreadyExists);
  ASSERT_TRUE(writer->Finish(nullptr).ok());
  EXPECT_TRUE((*Bundle::Open(storage_, "d/x"))->Find("v")->slices.empty());
}

}  // namespace
}  // namespace tensorbundle::engine
