// Power cuts in saves that write into files of replaced and removed bundles.

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/crash_fixture.h"
#include "engine/spare_files.h"

namespace tensorbundle::engine {
namespace {

using io::CrashStates;
using io::DiskImage;
using io::Effect;
using io::NameOrder;
using Kind = Effect::Kind;

class SpareCrashTest : public CrashTest {
 protected:
  SaveOptions Recycling(uint32_t num_shards = 2) {
    SaveOptions options = Options(num_shards);
    options.spares = &spares_;
    return options;
  }

  // Writes into files that were there before: what is new has a number in the log.
  size_t NumReused() const {
    return static_cast<size_t>(std::count_if(
        story_.log.begin(), story_.log.end(),
        [](const Effect& effect) { return effect.kind == Kind::kWrite && effect.file == 0; }));
  }

  // Saves a bundle beside d/y, which was there before, and removes that as a rotation does.
  void ReplaceOther() {
    ASSERT_TRUE(memory_->MakeDirectory("d").ok());
    ASSERT_TRUE(Save(*memory_, "d/y", new_.views(), Options()).ok());
    story_.before = io::ImageOf(*memory_, "d");
    SaveNow(newer_, Recycling());
    RemoveOther();
  }

  // Removes the bundle d/y as a rotation does: its index, then its data.
  void RemoveOther() {
    ASSERT_TRUE(storage_.Remove("d/y.index").ok());
    for (const char* path : {"d/y.data-00000-of-00002", "d/y.data-00001-of-00002"}) {
      ASSERT_TRUE(spares_.Keep(storage_, path, false));
    }
  }

  // States in which d/y has its names, but not its bytes.
  size_t FaultsOfOther(const std::vector<Effect>& log, NameOrder order) const {
    const CrashStates crashes(story_.before, log);
    size_t faults = 0;
    for (const size_t point : crashes.Points()) {
      crashes.ForEach({point, order}, [&](const DiskImage& image) {
        const size_t names = image.files.count("d/y.index") +
                             image.files.count("d/y.data-00000-of-00002") +
                             image.files.count("d/y.data-00001-of-00002");
        if (names < 3) return;  // as of any removal where names have no order
        faults += !ExpectHolds(io::MakeStorageFrom(image), "d/y", new_).ok();
      });
    }
    return faults;
  }

  SpareFiles spares_{std::shared_ptr<io::Storage>(memory_.get(), [](io::Storage*) {})};
};

TEST_F(SpareCrashTest, SavesIntoReplacedFiles) {
  Prepare(&old_);
  SaveNow(new_, Recycling());
  SaveNow(newer_, Recycling());
  SaveNow(new_, Recycling());
  SaveNow(old_, Recycling(3));
  EXPECT_GE(NumReused(), 3u);
  ExpectSurvives();
}

// Several writes to each file, of which any may be missing.
TEST_F(SpareCrashTest, SavesOfLargerTensorsIntoReplacedFiles) {
  const ThreeTensors large(5, 70'000);
  const ThreeTensors larger(6, 75'000);
  Prepare(&old_);
  SaveNow(large, Recycling());
  SaveNow(larger, Recycling());
  SaveNow(large, Recycling());
  EXPECT_GE(NumReused(), 4u);
  ExpectSurvives();
}

TEST_F(SpareCrashTest, ASaveAfterOneThatDiedWithSpareFiles) {
  Prepare(&old_);
  SaveNow(new_, Recycling());
  SaveNow(newer_, Recycling());
  SaveNow(new_);  // by somebody else: sweeps them
  ExpectSurvives();
}

TEST_F(SpareCrashTest, WithoutAnyOneOfTheSyncsABundleIsLost) {
  const ThreeTensors others(5, 2500);
  SaveNow(others, Recycling());  // in a new directory
  SaveNow(newer_, Recycling());
  SaveNow(new_, Recycling());
  EXPECT_GT(NumReused(), 0u);
  size_t syncs = 0;
  for (size_t change = 0; change < story_.log.size(); ++change) {
    const Effect& effect = story_.log[change];
    if (effect.kind != Kind::kSync && effect.kind != Kind::kSyncDirectory) continue;
    ++syncs;
    EXPECT_GT(CutPower(Without(change), NameOrder::kAny).faults, 0u)
        << "without the sync of " << effect.path << ", change " << change;
  }
  EXPECT_EQ(syncs, 3 * 5 + 1u);
}

TEST_F(SpareCrashTest, ARemovedBundleThatComesBackIsWhole) {
  ASSERT_NO_FATAL_FAILURE(ReplaceOther());
  SaveNow(new_, Recycling());
  EXPECT_GT(NumReused(), 0u);
  for (const NameOrder order : kBoth) EXPECT_EQ(FaultsOfOther(story_.log, order), 0u);
}

TEST_F(SpareCrashTest, WithoutTheSyncBeforeItsFilesAreWrittenARemovedBundleIsLost) {
  ASSERT_NO_FATAL_FAILURE(ReplaceOther());
  const size_t removed = storage_.log().size();
  SaveNow(new_, Recycling());
  const auto sync =
      std::find_if(story_.log.begin() + static_cast<ptrdiff_t>(removed), story_.log.end(),
                   [](const Effect& effect) { return effect.kind == Kind::kSyncDirectory; });
  const auto story = Without(static_cast<size_t>(sync - story_.log.begin()));
  for (const NameOrder order : kBoth) EXPECT_GT(FaultsOfOther(story.log, order), 0u);
}

}  // namespace
}  // namespace tensorbundle::engine
