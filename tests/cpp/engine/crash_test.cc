// Power cuts in the middle of saves, and that these tests would find them to do harm.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "engine/crash_fixture.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

using io::CrashStates;
using io::DiskImage;
using io::Effect;
using io::NameOrder;
using Kind = Effect::Kind;

TEST_F(CrashTest, AFirstSave) {
  Prepare(nullptr);
  SaveNow(new_);
  ExpectSurvives();
}

TEST_F(CrashTest, AFirstSaveInANewDirectory) {
  SaveNow(new_);
  ExpectSurvives();
}

TEST_F(CrashTest, AnOverwrite) {
  Prepare(&old_);
  SaveNow(new_);
  ExpectSurvives();
}

// The names of data files come round again, and removals of older ones are still pending.
TEST_F(CrashTest, SavesAfterAnOverwrite) {
  Prepare(&old_);
  SaveNow(new_);
  SaveNow(newer_);
  SaveNow(old_, Options(3));
  SaveNow(new_, Options(1));
  ExpectSurvives();
}

// Several writes to each file, of which any may be missing: too many to try all.
TEST_F(CrashTest, AnOverwriteByLargerTensors) {
  const ThreeTensors large(5, 70'000);
  Prepare(&old_);
  SaveNow(large);
  EXPECT_GT(std::count_if(story_.log.begin(), story_.log.end(),
                          [](const Effect& e) { return e.kind == Kind::kWrite; }),
            6);
  ExpectSurvives();
}

TEST_F(CrashTest, ASaveThatFailsAndRemovesWhatItMade) {
  Prepare(&old_);
  SaveNow(new_);
  const DiskImage before = story_.before;
  io::FaultyStorage counting(storage_);
  ASSERT_TRUE(SaveNow(newer_, counting, Options()).ok());
  for (uint64_t k = 1; k <= counting.calls(); ++k) {
    const auto memory = io::MakeStorageFrom(before);
    io::RecordingStorage recording(*memory);
    io::FaultyStorage faulty(recording);
    faulty.FailCall({.operation = {}, .nth = k, .error_number = ENOSPC});
    const bool returned = Save(faulty, kPrefix, new_.views(), Options()).ok();
    story_.log = recording.log();
    story_.attempts = {{&new_, 0, story_.log.size(), returned}};
    SCOPED_TRACE("failed at call " + std::to_string(k));
    ExpectSurvives();
  }
}

// A killed process leaves the machine running: what it had not synced may be lost when the
// power goes later, and the save that has returned meanwhile must not depend on it.
class CrashAfterDeathTest : public CrashTest {
 protected:
  void DieEverywhere(bool in_new_directory) {
    if (!in_new_directory) Prepare(&old_);
    const DiskImage before = story_.before;
    for (uint64_t k = 1;; ++k) {
      const auto memory = io::MakeStorageFrom(before);
      io::RecordingStorage recording(*memory);
      io::FaultyStorage dying(recording);
      dying.FailCall({.operation = {}, .nth = k, .error_number = EIO, .for_ever = true});
      const bool survived = Save(dying, kPrefix, new_.views(), Options()).ok();
      const size_t died = recording.log().size();
      ASSERT_TRUE(Save(recording, kPrefix, newer_.views(), Options()).ok());
      story_.log = recording.log();
      story_.attempts = {{&new_, 0, died, survived}, {&newer_, died, story_.log.size(), true}};
      story_.begin = died;
      SCOPED_TRACE("died at call " + std::to_string(k));
      ExpectSurvives();
      if (survived) break;
    }
  }
};

TEST_F(CrashAfterDeathTest, OfAnOverwrite) { DieEverywhere(false); }
TEST_F(CrashAfterDeathTest, OfAFirstSaveInANewDirectory) { DieEverywhere(true); }

// After the power cut the next save meets one, too.
TEST_F(CrashTest, APowerCutInTheSaveAfterAPowerCut) {
  Prepare(&old_);
  SaveNow(new_);
  const CrashStates crashes(story_.before, story_.log);
  std::vector<std::pair<DiskImage, bool>> left;  // and whether it holds the new bundle
  for (const size_t point : crashes.Points()) {
    size_t seen = 0;
    crashes.ForEach({point, NameOrder::kAny}, [&](const DiskImage& image) {
      if (seen++ % 7 != 0) return;
      left.emplace_back(image, ExpectHolds(io::MakeStorageFrom(image), kPrefix, new_).ok());
    });
  }
  EXPECT_GT(left.size(), 10u);
  for (const auto& [image, is_new] : left) {
    const auto memory = io::MakeStorageFrom(image);
    io::RecordingStorage recording(*memory);
    ASSERT_TRUE(Save(recording, kPrefix, newer_.views(), Options()).ok());
    story_.before = image;
    story_.old = is_new ? &new_ : &old_;
    story_.log = recording.log();
    story_.attempts = {{&newer_, 0, story_.log.size(), true}};
    ExpectSurvives();
  }
}

// ---- that the tests above can fail -------------------------------------------------------

TEST_F(CrashTest, WithoutAnyOneOfTheSyncsABundleIsLost) {
  SaveNow(old_);  // in a new directory
  SaveNow(new_);
  size_t syncs = 0;
  for (size_t change = 0; change < story_.log.size(); ++change) {
    const Effect& effect = story_.log[change];
    if (effect.kind != Kind::kSync && effect.kind != Kind::kSyncDirectory) continue;
    ++syncs;
    EXPECT_GT(CutPower(Without(change), NameOrder::kAny).faults, 0u)
        << "without the sync of " << effect.path << ", change " << change;
  }
  EXPECT_EQ(syncs, 2 * 5 + 1u);  // two shards, the index, the directory twice; its parent
}

TEST_F(CrashTest, WithTheIndexRenamedBeforeItsShardsABundleIsLost) {
  Prepare(&old_);
  SaveNow(new_);
  const size_t commit = Find(Kind::kRename, "x.index");
  const size_t shards = Find(Kind::kRename, "x.data-00000-of-00003");
  const Story story = WithMoved(commit, shards);
  for (const NameOrder order : kBoth) EXPECT_GT(CutPower(story, order).faults, 0u);
}

TEST_F(CrashTest, WithTheIndexRenamedBeforeItIsSyncedABundleIsLost) {
  Prepare(&old_);
  SaveNow(new_);
  const size_t commit = Find(Kind::kRename, "x.index");
  const Story story = WithMoved(commit, commit - 1);
  for (const NameOrder order : kBoth) EXPECT_GT(CutPower(story, order).faults, 0u);
}

TEST_F(CrashTest, WithTheOldShardsRemovedBeforeTheCommitABundleIsLost) {
  Prepare(&old_);
  SaveNow(new_);
  const size_t removal = Find(Kind::kRemove, "x.data-00000-of-00002");
  const Story story = WithMoved(removal, Find(Kind::kRename, "x.index"));
  for (const NameOrder order : kBoth) EXPECT_GT(CutPower(story, order).faults, 0u);
}

TEST_F(CrashTest, WithTheOldShardsRemovedBeforeTheLastSyncABundleIsLost) {
  Prepare(&old_);
  SaveNow(new_);
  const size_t removal = Find(Kind::kRemove, "x.data-00000-of-00002");
  const Story story = WithMoved(removal, Find(Kind::kRename, "x.index") + 1);
  EXPECT_GT(CutPower(story, NameOrder::kAny).faults, 0u);
}

}  // namespace
}  // namespace tensorbundle::engine
