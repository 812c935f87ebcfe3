// Power cuts in the middle of merges that delete their sources: in every state that a disk
// may be left in (io/crash_states.h), all the sources load, or the merged bundle does.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/merge.h"
#include "engine/tensors.h"
#include "io/crash_states.h"
#include "io/recording_storage.h"

namespace tensorbundle::engine {
namespace {

using io::CrashStates;
using io::DiskImage;
using io::Effect;
using io::NameOrder;

class MergeCrashTest : public ::testing::Test {
 protected:
  MergeCrashTest() {
    old_.Add("old", 500);
    for (TestTensors* tensors : {&left_, &right_}) {
      for (int i = 0; i < 3; ++i) {
        const std::string name = (tensors == &left_ ? "l" : "r") + std::to_string(i);
        tensors->Add(name, 700);
        all_.AddText(name, tensors->bytes(tensors->size() - 1));
      }
    }
  }

  // Merges on `storage`, which holds the sources and an older destination.
  void MergeThere(io::Storage& memory) {
    ASSERT_TRUE(memory.MakeDirectory("d").ok());
    ASSERT_TRUE(Save(memory, "d/l", left_.views(), {}).ok());
    ASSERT_TRUE(Save(memory, "d/r", right_.views(), {}).ok());
    ASSERT_TRUE(Save(memory, "d/out", old_.views(), {}).ok());
    before_ = io::ImageOf(memory, "d");
    const auto recording = std::make_shared<io::RecordingStorage>(memory);
    const std::vector<std::string> sources = {"d/l", "d/r"};
    MergeOptions options;
    options.delete_sources = true;
    options.num_threads = 1;
    ASSERT_TRUE(Merge(recording, sources, "d/out", options).ok());
    log_ = recording->log();
  }

  // How many states have neither the sources nor the merged bundle.
  size_t Faults(const std::vector<Effect>& log) const {
    size_t faults = 0;
    const CrashStates crashes(before_, log);
    for (const NameOrder order : {NameOrder::kJournal, NameOrder::kAny}) {
      for (const size_t point : crashes.Points()) {
        crashes.ForEach({point, order}, [&](const DiskImage& image) {
          if (!IsWhole(io::MakeStorageFrom(image))) ++faults;
        });
      }
    }
    return faults;
  }

  bool IsWhole(const std::shared_ptr<io::Storage>& storage) const {
    if (ExpectHolds(storage, "d/out", all_).ok()) return true;
    return ExpectHolds(storage, "d/l", left_).ok() &&
           ExpectHolds(storage, "d/r", right_).ok() &&
           ExpectHolds(storage, "d/out", old_).ok();
  }

  size_t Find(Effect::Kind kind, const std::string& ending) const {
    for (size_t i = 0; i < log_.size(); ++i) {
      const std::string& path =
          log_[i].destination.empty() ? log_[i].path : log_[i].destination;
      if (log_[i].kind == kind && path.ends_with(ending)) return i;
    }
    ADD_FAILURE() << ending;
    return 0;
  }

  TestTensors left_{1};
  TestTensors right_{2};
  TestTensors old_{3};
  TestTensors all_;
  DiskImage before_;
  std::vector<Effect> log_;
};

TEST_F(MergeCrashTest, SourcesOrDestinationAreWhole) {
  const auto memory = io::MakeMemoryStorage();
  MergeThere(*memory);
  EXPECT_EQ(Faults(log_), 0u);
}

// The test can fail: without a sync, or with the removal of a source before the commit, there
// are states in which neither is whole.
TEST_F(MergeCrashTest, EverySyncIsNeeded) {
  const auto memory = io::MakeMemoryStorage();
  MergeThere(*memory);
  std::vector<Effect> log = log_;
  log.erase(log.begin() + static_cast<ptrdiff_t>(Find(Effect::Kind::kSyncDirectory, "d")));
  EXPECT_GT(Faults(log), 0u) << "the links are durable before the index";
  log = log_;
  const auto removal =
      log.begin() + static_cast<ptrdiff_t>(Find(Effect::Kind::kRemove, "l.index"));
  const Effect removed = *removal;
  log.erase(removal);
  log.insert(log.begin() + static_cast<ptrdiff_t>(Find(Effect::Kind::kRename, "out.index")),
             removed);
  EXPECT_GT(Faults(log), 0u) << "sources go after the commit";
}

}  // namespace
}  // namespace tensorbundle::engine
