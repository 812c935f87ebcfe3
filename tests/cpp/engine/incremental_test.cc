// Saves that share data files with an earlier bundle: what they ask of the storage, and what
// is left of both bundles whatever fails.

#include "engine/incremental.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "engine/tensors.h"
#include "format/naming.h"
#include "io/crash_states.h"
#include "io/faulty_storage.h"
#include "io/recording_storage.h"

namespace tensorbundle::engine {
namespace {

using io::FaultyStorage;
using io::Operation;

// Three frozen tensors, and one that differs from step to step.
struct Model : TestTensors {
  explicit Model(int step) {
    for (int i = 0; i < 3; ++i) Add("frozen" + std::to_string(i), 3000);
    AddText("trained", "the trained tensor of step " + std::to_string(step));
  }
};

Result<SaveReport> SaveAs(io::Storage& storage, const std::string& prefix, const Model& model,
                          const std::string& previous) {
  SaveOptions options;
  options.previous = previous;
  options.num_threads = 1;  // the k-th call is the same every time
  return Save(storage, prefix, model.views(), options);
}

class IncrementalTest : public ::testing::Test {
 protected:
  std::shared_ptr<io::Storage> WithFirst() const {
    std::shared_ptr<io::Storage> storage = io::MakeMemoryStorage();
    EXPECT_TRUE(SaveAs(*storage, "d/a", first_, "d/a").ok());
    return storage;
  }

  const Model first_{1};
  const Model second_{2};
};

TEST_F(IncrementalTest, FrozenTensorsStayInTheFileOfTheEarlierBundle) {
  const auto memory = WithFirst();
  FaultyStorage disk(*memory);
  const auto report = SaveAs(disk, "d/b", second_, "d/a");
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->incremental_reason, "");
  EXPECT_EQ(*memory->Identify("d/b.data-00001-of-00002"),
            *memory->Identify("d/a.data-00000-of-00001"));
  EXPECT_EQ(report->linked_bytes, ReadFile(*memory, "d/a.data-00000-of-00001").size());
  EXPECT_EQ(report->zero_copy_bytes + report->staged_bytes, second_.bytes(3).size());
  EXPECT_EQ(report->num_shards, 2u);
  for (const io::Call& call : disk.log()) {
    EXPECT_FALSE(call.operation == Operation::kWrite && call.path.starts_with("d/a"));
    EXPECT_FALSE(call.operation == Operation::kCreate && call.path.starts_with("d/a"));
  }
  EXPECT_EQ(disk.calls(Operation::kSync), 4u)
      << "the new file, the linked one, index and list";
  EXPECT_TRUE(ExpectHolds(memory, "d/a", first_).ok());
  EXPECT_TRUE(ExpectHolds(memory, "d/b", second_).ok());
}

TEST_F(IncrementalTest, AnOverwriteSharesTheFileOfTheBundleItReplaces) {
  const auto memory = WithFirst();
  const auto before = *memory->Identify("d/a.data-00000-of-00001");
  ASSERT_TRUE(SaveAs(*memory, "d/a", second_, "d/a").ok());
  EXPECT_EQ(ListSorted(*memory, "d"),
            (std::vector<std::string>{"a.data-00000-of-00002", "a.data-00001-of-00002",
                                      "a.fingerprints", "a.index"}));
  EXPECT_EQ(*memory->Identify("d/a.data-00001-of-00002"), before);
  EXPECT_TRUE(ExpectHolds(memory, "d/a", second_).ok());
}

TEST_F(IncrementalTest, WhateverKeepsAFileFromBeingLinkedItIsWritten) {
  for (const int error : {EXDEV, EPERM, EMLINK, EOPNOTSUPP, ENOENT, EIO}) {
    const auto memory = WithFirst();
    FaultyStorage disk(*memory);
    disk.FailCall({.operation = Operation::kLink, .error_number = error});
    const auto report = SaveAs(disk, "d/b", second_, "d/a");
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->linked_bytes, 0u);
    EXPECT_NE(report->incremental_reason.find("link"), std::string::npos);
    EXPECT_EQ(report->num_shards, 2u) << "steady tensors in a file of their own";
    EXPECT_EQ(report->tensor_bytes, 9000 + second_.bytes(3).size());
    EXPECT_TRUE(ExpectHolds(memory, "d/b", second_).ok());
  }
}

TEST_F(IncrementalTest, BorrowedTensorsAreToldOfThoughNoneIsWritten) {
  const auto memory = WithFirst();
  int told = 0;
  TensorList borrowed;
  for (const TensorView& view : first_.views()) {
    TensorView& copy = borrowed.Add("", view.name, view.shape);
    copy.dtype = view.dtype;
    copy.size = view.size;
    copy.contiguous = view.contiguous;
    copy.borrowed = true;
  }
  SaveOptions options;
  options.previous = "d/a";
  options.on_borrowed_written = [&] { ++told; };
  ASSERT_TRUE(Save(*memory, "d/b", borrowed.views(), options).ok());
  EXPECT_EQ(told, 1);
}

TEST_F(IncrementalTest, EntriesWithoutBytesHaveNoFingerprint) {
  const auto memory = WithFirst();
  const std::vector<uint32_t> by_name = {4, 0, 1, 2, 5, 3};  // of four tensors
  const auto incremental =
      Incremental::Prepare(*memory, "d/a", first_.views(), by_name, 64, {});
  ASSERT_TRUE(incremental.ok());
  EXPECT_EQ((*incremental)->reason(), "");
  EXPECT_EQ((*incremental)->shared().size(), 1u);
  const std::string file = (*incremental)->Encode(0, {});
  EXPECT_EQ(format::DecodeFingerprints(AsBytes(file))->fingerprints.size(), 4u);
}

TEST_F(IncrementalTest, AStopIsAStop) {
  class Stop final : public Observer {
   public:
    bool Poll(uint64_t, uint64_t) override { return false; }
  };
  const auto memory = WithFirst();
  Stop stop;
  SaveOptions options;
  options.previous = "d/a";
  options.observer = &stop;
  EXPECT_EQ(Save(*memory, "d/b", second_.views(), options).status().code(), Code::kCancelled);
  EXPECT_EQ(ListSorted(*memory, "d").size(), 3u);
}

TEST_F(IncrementalTest, WhicheverCallFailsBothBundlesAreWholeOrTheNewOneIsNotThere) {
  size_t full_saves = 0;
  for (uint64_t k = 1;; ++k) {
    SCOPED_TRACE("call " + std::to_string(k));
    const auto memory = WithFirst();
    const auto before = ListSorted(*memory, "d");
    FaultyStorage disk(*memory);
    disk.FailCall({.operation = {}, .nth = k});
    const auto report = SaveAs(disk, "d/b", second_, "d/a");
    if (disk.calls() < k) break;
    EXPECT_TRUE(ExpectHolds(memory, "d/a", first_).ok());
    if (report.ok()) {
      EXPECT_TRUE(ExpectHolds(memory, "d/b", second_).ok());
      full_saves += report->linked_bytes == 0 ? 1 : 0;
    } else if (ListSorted(*memory, "d") != before) {
      EXPECT_TRUE(ExpectHolds(memory, "d/b", second_).ok()) << "its durability alone is open";
    }
    // And whatever is left, the next one is right.
    const Model third(3);
    ASSERT_TRUE(SaveAs(*memory, "d/b", third, "d/b").ok());
    EXPECT_TRUE(ExpectHolds(memory, "d/b", third).ok());
  }
  EXPECT_GT(full_saves, 5u);
}

using IncrementalCrashTest = IncrementalTest;

TEST_F(IncrementalCrashTest, AfterAPowerCutBothBundlesAreWholeAndTheNextSaveIsRight) {
  const auto memory = WithFirst();
  const io::DiskImage before = io::ImageOf(*memory, "d");
  io::RecordingStorage recording(*memory);
  ASSERT_TRUE(SaveAs(recording, "d/b", first_, "d/a").ok());
  ASSERT_TRUE(SaveAs(recording, "d/b", second_, "d/b").ok());
  const size_t durable = recording.log().size();
  const io::CrashStates crashes(before, recording.log());
  const Model third(3);
  size_t states = 0;
  for (const auto order : {io::NameOrder::kJournal, io::NameOrder::kAny}) {
    for (const size_t point : crashes.Points()) {
      crashes.ForEach({point, order}, [&](const io::DiskImage& image) {
        ++states;
        const std::shared_ptr<io::Storage> disk = io::MakeStorageFrom(image);
        EXPECT_TRUE(ExpectHolds(disk, "d/a", first_).ok());
        const bool is_there = *disk->Exists("d/b.index");
        const bool is_whole = ExpectHolds(disk, "d/b", second_).ok() ||
                              (point < durable && ExpectHolds(disk, "d/b", first_).ok());
        EXPECT_TRUE(is_whole || (!is_there && point < durable));
        // Fingerprints that were cut off, or are of the other index, are seen as such.
        ASSERT_TRUE(SaveAs(*disk, "d/b", third, "d/b").ok());
        EXPECT_TRUE(ExpectHolds(disk, "d/b", third).ok());
      });
    }
  }
  EXPECT_GT(states, 100u);
}

}  // namespace
}  // namespace tensorbundle::engine
