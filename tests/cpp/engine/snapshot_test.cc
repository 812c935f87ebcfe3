#include "engine/snapshot.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/tensors.h"
#include "io/aligned_buffer.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

constexpr uint64_t kMiB = 1u << 20;

class SnapshotTest : public ::testing::Test {
 protected:
  // Tensors whose memory the test may spoil after it was copied.
  void Add(const std::string& name, size_t size) { source_.Add(name, size); }

  // Fills `list` with views of the tensors.
  void View(TensorList& list) const {
    for (const TensorView& view : source_.views()) {
      TensorView& copy = list.Add("", view.name, view.shape);
      copy.dtype = view.dtype;
      copy.size = view.size;
      copy.contiguous = view.contiguous;
    }
  }

  TestTensors source_;
};

bool IsInside(Bytes bytes, Bytes arena) {
  return bytes.data() >= arena.data() &&
         bytes.data() + bytes.size() <= arena.data() + arena.size();
}

TEST_F(SnapshotTest, EveryTensorIsCopiedWhereAllFit) {
  Add("empty", 0);
  Add("large", 9 * kMiB + 5);
  for (int i = 0; i < 1000; ++i) Add("small" + std::to_string(i), 100);
  Add("medium", 100'000);
  TensorList list;
  View(list);
  const auto arena = io::AlignedBuffer::Allocate(SnapshotSize(list.views()));
  const auto report = TakeSnapshot(list.views(), arena->bytes(), {});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->borrowed_bytes, 0u);
  EXPECT_EQ(report->copied_bytes, 9 * kMiB + 5 + 100'000 + 100'000);
  for (size_t i = 1; i < list.views().size(); ++i) {
    const TensorView& view = list.views()[i];
    EXPECT_TRUE(IsInside(view.contiguous, arena->bytes())) << view.name;
    EXPECT_EQ(AsText(view.contiguous), source_.bytes(i)) << view.name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.contiguous.data()) % 64, 0u) << view.name;
    EXPECT_FALSE(view.borrowed);
  }
}

TEST_F(SnapshotTest, WhatDoesNotFitStaysWhereItIs) {
  Add("a", 1 * kMiB);
  Add("b", 2 * kMiB);
  Add("c", 1 * kMiB);
  TensorList list;
  View(list);
  const auto arena = io::AlignedBuffer::Allocate(2 * kMiB);
  const auto report = TakeSnapshot(list.views(), arena->bytes(), {});
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->copied_bytes, 2 * kMiB);
  EXPECT_EQ(report->borrowed_bytes, 2 * kMiB);
  EXPECT_TRUE(IsInside(list.views()[0].contiguous, arena->bytes()));
  EXPECT_TRUE(list.views()[1].borrowed);
  EXPECT_EQ(list.views()[1].contiguous.data(), source_.views()[1].contiguous.data());
  EXPECT_TRUE(IsInside(list.views()[2].contiguous, arena->bytes()));
}

TEST_F(SnapshotTest, AStridedTensorIsContiguousAfterwards) {
  const std::string values = "abcdefgh";
  TensorList list;
  const uint64_t shape[] = {4};
  TensorView& view = list.Add("", "every second", shape);
  view.size = 4;
  StridedLayout layout;
  layout.data = AsBytes(values).data();
  layout.shape = {4};
  layout.strides = {2};
  layout.element_size = 1;
  view.staged = MakeStridedSource(std::move(layout));
  const auto arena = io::AlignedBuffer::Allocate(4096);
  ASSERT_TRUE(TakeSnapshot(list.views(), arena->bytes(), {}).ok());
  EXPECT_EQ(list.views()[0].staged, nullptr);
  EXPECT_EQ(AsText(list.views()[0].contiguous), "aceg");
}

TEST_F(SnapshotTest, StringsAreLeftAlone) {
  TensorList list;
  const uint64_t shape[] = {1};
  ASSERT_TRUE(SetStrings({AsBytes("text")}, list.Add("", "s", shape)).ok());
  const auto arena = io::AlignedBuffer::Allocate(4096);
  const auto report = TakeSnapshot(list.views(), arena->bytes(), {});
  EXPECT_EQ(report->copied_bytes, 0u);
  EXPECT_NE(list.views()[0].staged, nullptr);
  EXPECT_FALSE(list.views()[0].borrowed);
}

class StopAtOnce final : public Observer {
 public:
  bool Poll(uint64_t, uint64_t) override { return false; }
};

TEST_F(SnapshotTest, StoppedItLeavesTheViewsAsTheyWere) {
  Add("a", 40 * kMiB);
  TensorList list;
  View(list);
  const auto arena = io::AlignedBuffer::Allocate(40 * kMiB);
  StopAtOnce observer;
  SnapshotOptions options;
  options.observer = &observer;
  EXPECT_EQ(TakeSnapshot(list.views(), arena->bytes(), options).status().code(),
            Code::kCancelled);
  EXPECT_EQ(list.views()[0].contiguous.data(), source_.views()[0].contiguous.data());
}

// Where each write to a data file began, in the order of the calls.
TEST_F(SnapshotTest, BorrowedTensorsAreWrittenFirstAndThenTold) {
  Add("copied1", 20 * kMiB);
  Add("borrowed", 33 * kMiB);
  Add("copied2", 20 * kMiB);
  TensorList list;
  View(list);
  list.views()[1].borrowed = true;
  const std::shared_ptr<io::Storage> memory = io::MakeMemoryStorage();
  io::FaultyStorage storage(*memory);
  uint64_t writes_when_told = 0;
  int told = 0;
  SaveOptions options;
  options.num_threads = 1;
  options.on_borrowed_written = [&] {
    ++told;
    writes_when_told = storage.calls(io::Operation::kWrite);
  };
  ASSERT_TRUE(Save(storage, "d/x", list.views(), options).ok());
  EXPECT_EQ(told, 1);
  EXPECT_GT(writes_when_told, 33u) << "in blocks of 256 KiB";
  EXPECT_LT(writes_when_told, storage.calls(io::Operation::kWrite) * 4 / 5);
  EXPECT_TRUE(ExpectHolds(memory, "d/x", source_).ok());
}

TEST_F(SnapshotTest, NothingIsToldWhereNothingIsBorrowed) {
  Add("a", kMiB);
  int told = 0;
  SaveOptions options;
  options.on_borrowed_written = [&] { ++told; };
  const std::shared_ptr<io::Storage> memory = io::MakeMemoryStorage();
  ASSERT_TRUE(Save(*memory, "d/x", source_.views(), options).ok());
  EXPECT_EQ(told, 0);
}

}  // namespace
}  // namespace tensorbundle::engine
