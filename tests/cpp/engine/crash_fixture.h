// Saves whose every change is recorded, and what has to hold in each state that a power cut
// may leave of them (io/crash_states.h): a whole bundle loads, the one of the last save that
// returned or of a later one; nothing foreign has changed; what is left over, the next save
// sweeps.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>

#include "engine/tensors.h"
#include "format/naming.h"
#include "io/crash_states.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {

inline constexpr char kPrefix[] = "d/x";
inline constexpr io::NameOrder kBoth[] = {io::NameOrder::kJournal, io::NameOrder::kAny};

// Names that are nearly those of the bundle's files.
inline constexpr const char* kForeign[] = {
    "d/x",
    "d/x2.index",
    "d/x.data-00000-of-0001",
    "d/x-1.index",
    "d/.x.index.tmp",
    "d/x.index.tmp.0123456789abcdef",
    "d/.y.index.tmp.0123456789abcdef",
};

struct Attempt {
  const TestTensors* tensors;
  size_t begin = 0;  // in the log
  size_t end = 0;
  bool returned = false;  // without an error
};

// What was asked for, and by which saves.
struct Story {
  io::DiskImage before;
  const TestTensors* old = nullptr;  // what `before` holds; null: nothing
  std::vector<io::Effect> log;
  std::vector<Attempt> attempts;
  size_t begin = 0;  // of the changes to cut the power after
};

struct Totals {
  size_t points = 0;
  size_t states = 0;
  size_t sampled = 0;  // points
  size_t faults = 0;
  std::string first_fault;
};

struct ThreeTensors : TestTensors {
  ThreeTensors(unsigned seed, size_t size) : TestTensors(seed) {
    for (int i = 0; i < 3; ++i) Add("t" + std::to_string(i), size + 100 * seed);
  }
};

inline SaveOptions Options(uint32_t num_shards = 2) {
  SaveOptions options;
  options.num_shards = num_shards;
  options.num_threads = 1;  // so that the log is the same every time
  options.transfer.block_size = 64u << 10;
  return options;
}

class CrashTest : public ::testing::Test {
 protected:
  CrashTest() : memory_(io::MakeMemoryStorage()), storage_(*memory_) {}

  void SetUp() override { start_ = std::chrono::steady_clock::now(); }

  void TearDown() override {
    if (shown_.states == 0) return;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    std::printf(
        "  %s: %zu crash states at %zu points (%zu of these sampled), %.0f per second\n",
        ::testing::UnitTest::GetInstance()->current_test_info()->name(), shown_.states,
        shown_.points, shown_.sampled, static_cast<double>(shown_.states) / elapsed.count());
  }

  // A directory with foreign files and maybe a bundle, all of it durable.
  void Prepare(const TestTensors* old) {
    ASSERT_TRUE(memory_->MakeDirectory("d").ok());
    for (const char* path : kForeign) {
      const auto file = memory_->Create(path);
      ASSERT_TRUE(file.ok() && (*file)->WriteAt(0, AsBytes(path)).ok());
    }
    if (old != nullptr) {
      ASSERT_TRUE(Save(*memory_, kPrefix, old->views(), Options()).ok());
    }
    story_.before = io::ImageOf(*memory_, "d");
    story_.old = old;
  }

  Status SaveNow(const TestTensors& tensors, io::Storage& storage,
                 const SaveOptions& options) {
    story_.attempts.push_back({&tensors, storage_.log().size()});
    const Status status = Save(storage, kPrefix, tensors.views(), options).status();
    story_.log = storage_.log();
    story_.attempts.back().end = story_.log.size();
    story_.attempts.back().returned = status.ok();
    return status;
  }

  void SaveNow(const TestTensors& tensors, const SaveOptions& options = Options()) {
    ASSERT_TRUE(SaveNow(tensors, storage_, options).ok());
  }

  // What may be found when the power goes after so many changes: null for nothing.
  static std::vector<const TestTensors*> Allowed(const Story& story, size_t point) {
    std::vector<const TestTensors*> allowed = {story.old};
    for (const Attempt& attempt : story.attempts) {
      if (attempt.returned && attempt.end <= point) allowed.clear();
      if (attempt.begin < point) allowed.push_back(attempt.tensors);
    }
    return allowed;
  }

  // What is wrong with a state; empty where nothing is.
  std::string FaultOf(const io::DiskImage& image,
                      const std::vector<const TestTensors*>& allowed) const {
    for (const auto& [path, content] : story_.before.files) {
      const bool is_foreign =
          std::find(std::begin(kForeign), std::end(kForeign), path) != std::end(kForeign);
      const auto found = image.files.find(path);
      if (is_foreign && (found == image.files.end() || found->second != content)) {
        return path + " was changed";
      }
    }
    const std::shared_ptr<io::Storage> storage = io::MakeStorageFrom(image);
    const bool holds =
        std::any_of(allowed.begin(), allowed.end(), [&](const TestTensors* tensors) {
          return tensors == nullptr ? !storage->Exists("d/x.index").value()
                                    : ExpectHolds(storage, kPrefix, *tensors).ok();
        });
    if (!holds) return "no whole bundle, or an older one than the last save that returned";
    return FaultAfterTheNextSave(storage);
  }

  std::string FaultAfterTheNextSave(const std::shared_ptr<io::Storage>& storage) const {
    const auto saved = Save(*storage, kPrefix, next_.views(), Options());
    if (!saved.ok()) return "the next save fails: " + saved.status().ToString();
    if (!ExpectHolds(storage, kPrefix, next_).ok()) return "the next save does not load";
    const size_t foreign = story_.before.files.empty() ? 0 : std::size(kForeign);
    const size_t names = storage->List("d")->size();
    if (names == foreign + 3) return "";  // its index and two shards
    return std::to_string(names - foreign - 3) + " files left over by the next save";
  }

  // Cuts the power everywhere.
  Totals CutPower(const Story& story, io::NameOrder order) const {
    const io::CrashStates crashes(story.before, story.log);
    std::vector<size_t> points = crashes.Points();
    for (const Attempt& attempt : story.attempts) points.push_back(attempt.end);
    Totals totals;
    for (const size_t point : points) {
      if (point < story.begin) continue;
      const auto allowed = Allowed(story, point);
      const auto count = crashes.ForEach({point, order}, [&](const io::DiskImage& image) {
        const std::string fault = FaultOf(image, allowed);
        if (fault.empty()) return;
        if (totals.faults++ == 0) totals.first_fault = Describe(story, point, image) + fault;
      });
      ++totals.points;
      totals.states += count.states;
      totals.sampled += count.sampled;
    }
    return totals;
  }

  static std::string Describe(const Story& story, size_t point, const io::DiskImage& image) {
    std::string text = "after change " + std::to_string(point);
    if (point > 0) text += " (" + story.log[point - 1].path + ")";
    for (const auto& [path, content] : image.files) {
      text += "\n  " + path + ": " + std::to_string(content.size()) + " bytes";
    }
    return text + "\n";
  }

  void ExpectSurvives() {
    for (const io::NameOrder order : kBoth) {
      const Totals totals = CutPower(story_, order);
      EXPECT_EQ(totals.faults, 0u) << totals.first_fault;
      EXPECT_GT(totals.states, totals.points / 2);
      shown_.points += totals.points;
      shown_.states += totals.states;
      shown_.sampled += totals.sampled;
    }
  }

  // The story without one change, or with one moved.
  Story Without(size_t change) const {
    Story story = story_;
    story.log.erase(story.log.begin() + static_cast<ptrdiff_t>(change));
    for (Attempt& attempt : story.attempts) {
      attempt.begin -= attempt.begin > change;
      attempt.end -= attempt.end > change;
    }
    return story;
  }
  Story WithMoved(size_t from, size_t to) const {
    Story story = story_;
    const io::Effect effect = story.log[from];
    story.log.erase(story.log.begin() + static_cast<ptrdiff_t>(from));
    story.log.insert(story.log.begin() + static_cast<ptrdiff_t>(to), effect);
    return story;
  }

  // The first change of that kind whose path, or new path, ends so.
  size_t Find(io::Effect::Kind kind, const std::string& ending) const {
    const auto found =
        std::find_if(story_.log.begin(), story_.log.end(), [&](const io::Effect& effect) {
          return effect.kind == kind &&
                 (effect.path.ends_with(ending) || effect.destination.ends_with(ending));
        });
    EXPECT_NE(found, story_.log.end()) << ending;
    return static_cast<size_t>(found - story_.log.begin());
  }

  const std::unique_ptr<io::Storage> memory_;
  io::RecordingStorage storage_;
  Story story_;
  Totals shown_;
  std::chrono::steady_clock::time_point start_;
  const ThreeTensors old_{1, 600};
  const ThreeTensors new_{2, 3000};
  const ThreeTensors newer_{3, 2000};
  const ThreeTensors next_{4, 300};
};

}  // namespace tensorbundle::engine
