// The model itself: what it lets a power cut do, and that it finds what is known to be
// wrong with the protocols of others.

#include "io/crash_states.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/recording_storage.h"
#include "io/storage_fixture.h"

namespace tensorbundle::io {
namespace {

class CrashStatesTest : public ::testing::Test {
 protected:
  CrashStatesTest() : memory_(MakeMemoryStorage()), storage_(*memory_) {
    EXPECT_OK(memory_->MakeDirectory("d").status());
    WriteFile(*memory_, "d/old", "old");
    before_ = ImageOf(*memory_, "d");
  }

  std::unique_ptr<WritableFile> Create(const std::string& path) {
    auto file = storage_.Create(path);
    EXPECT_OK(file.status());
    return std::move(file).value();
  }

  // A new file, synced or not.
  void Put(const std::string& path, const std::string& text, bool is_synced) {
    const auto file = Create(path);
    EXPECT_OK(file->WriteAt(0, AsBytes(text)));
    if (is_synced) {
      EXPECT_OK(file->Sync());
    }
    EXPECT_OK(file->Close());
  }

  // Every state at the end of the log.
  std::vector<DiskImage> States(NameOrder order) const {
    std::vector<DiskImage> states;
    const CrashStates crashes(before_, storage_.log());
    crashes.ForEach({crashes.Points().back(), order},
                    [&](const DiskImage& image) { states.push_back(image); });
    return states;
  }

  // What `path` may hold then; "-" where it may be absent.
  std::set<std::string> Contents(const std::string& path, NameOrder order) const {
    std::set<std::string> contents;
    for (const DiskImage& image : States(order)) {
      const auto found = image.files.find(path);
      contents.insert(found == image.files.end() ? "-" : found->second);
    }
    return contents;
  }

  const std::unique_ptr<Storage> memory_;
  RecordingStorage storage_;
  DiskImage before_;
};

using Texts = std::set<std::string>;
constexpr NameOrder kBoth[] = {NameOrder::kJournal, NameOrder::kAny};

TEST_F(CrashStatesTest, WithoutACrashEverythingIsThere) {
  Put("d/new", "new", false);
  ASSERT_OK(storage_.Rename("d/new", "d/newer"));
  ASSERT_OK(storage_.Remove("d/old"));
  EXPECT_EQ(CrashStates(before_, storage_.log()).Final(), ImageOf(*memory_, "d"));
}

TEST_F(CrashStatesTest, WhatIsSyncedIsThereInEveryState) {
  Put("d/new", "new", true);
  ASSERT_OK(storage_.SyncDirectory("d"));
  for (const NameOrder order : kBoth) {
    EXPECT_EQ(Contents("d/new", order), Texts({"new"}));
    EXPECT_EQ(Contents("d/old", order), Texts({"old"}));
  }
}

TEST_F(CrashStatesTest, BytesWithoutASyncMayBeLostZeroOrStale) {
  Put("d/new", "new", false);
  ASSERT_OK(storage_.SyncDirectory("d"));
  const std::string zeros(3, '\0');
  for (const NameOrder order : kBoth) {
    EXPECT_EQ(Contents("d/new", order), Texts({"", "new", zeros, "\xa5\xa5\xa5"}));
  }
}

TEST_F(CrashStatesTest, AWriteIsTornAtSectorsAndPages) {
  const std::string text(9000, 'x');
  Put("d/new", text, false);
  ASSERT_OK(storage_.SyncDirectory("d"));
  const Texts found = Contents("d/new", NameOrder::kAny);
  const auto torn = [&](size_t head) {
    return std::string(head, 'x') + std::string(9000 - head, '\0');
  };
  EXPECT_TRUE(found.contains(torn(4608)));
  EXPECT_TRUE(found.contains(torn(8192)));
  EXPECT_TRUE(found.contains(std::string(4608, 'x')));
  EXPECT_TRUE(found.contains(std::string(8192, '\0') + std::string(808, 'x')));
}

TEST_F(CrashStatesTest, AnAllocationWithoutASyncMayShowAsZeros) {
  const auto file = Create("d/new");
  ASSERT_OK(storage_.SyncDirectory("d"));
  ASSERT_OK(file->Allocate(2));
  ASSERT_OK(file->Truncate(1));
  const Texts expected = {"", std::string(1, '\0'), std::string(2, '\0')};
  EXPECT_EQ(Contents("d/new", NameOrder::kAny), expected);
}

TEST_F(CrashStatesTest, ANameWithoutADirectorySyncMayBeLost) {
  Put("d/new", "new", true);
  for (const NameOrder order : kBoth) {
    EXPECT_EQ(Contents("d/new", order), Texts({"-", "new"}));
  }
}

TEST_F(CrashStatesTest, ARenameIsThereWholeOrNotAtAll) {
  Put("d/new", "new", true);
  ASSERT_OK(storage_.SyncDirectory("d"));
  ASSERT_OK(storage_.Rename("d/new", "d/old"));
  for (const DiskImage& image : States(NameOrder::kAny)) {
    const bool is_old = image.files.contains("d/new");
    EXPECT_EQ(image.files.at("d/old"), is_old ? "old" : "new");
  }
  EXPECT_EQ(Contents("d/old", NameOrder::kAny), Texts({"old", "new"}));
}

TEST_F(CrashStatesTest, AJournalKeepsTheOrderOfNames) {
  Put("d/first", "", true);
  Put("d/second", "", true);
  bool found = false;
  for (const DiskImage& image : States(NameOrder::kJournal)) {
    EXPECT_TRUE(image.files.contains("d/first") || !image.files.contains("d/second"));
  }
  for (const DiskImage& image : States(NameOrder::kAny)) {
    found = found || (image.files.contains("d/second") && !image.files.contains("d/first"));
  }
  EXPECT_TRUE(found);
}

TEST_F(CrashStatesTest, ALostDirectoryTakesItsFilesAlong) {
  ASSERT_OK(storage_.MakeDirectory("e").status());
  Put("e/new", "new", true);
  ASSERT_OK(storage_.SyncDirectory("e"));
  EXPECT_EQ(Contents("e/new", NameOrder::kAny), Texts({"-", "new"}));
  EXPECT_EQ(Contents("e/new", NameOrder::kJournal), Texts({"new"}));
}

TEST_F(CrashStatesTest, AHeldLockIsAFileThatMayStay) {
  {
    const auto lock = storage_.TryLock("d/l");
  }
  EXPECT_EQ(Contents("d/l", NameOrder::kAny), Texts({"-", ""}));
}

TEST_F(CrashStatesTest, TooManyCombinationsAreSampledAndTheSameWayAgain) {
  for (int i = 0; i < 10; ++i) Put("d/" + std::to_string(i), "text", false);
  const CrashStates crashes(before_, storage_.log());
  const CrashPoint point = {storage_.log().size(), NameOrder::kAny, 7};
  std::vector<DiskImage> first;
  const CrashCount count =
      crashes.ForEach(point, [&](const DiskImage& image) { first.push_back(image); });
  EXPECT_EQ(count.sampled, 1u);
  EXPECT_EQ(count.states, first.size());
  EXPECT_GT(count.states, kMaxCombined / 2);
  size_t at = 0;
  crashes.ForEach(point, [&](const DiskImage& image) { EXPECT_EQ(image, first[at++]); });
}

// What others do to replace a file, and what a power cut makes of it: neither the old
// content nor the new.
TEST_F(CrashStatesTest, ARenameBeforeTheSyncLosesBothContents) {
  Put("d/tmp", "new", false);
  ASSERT_OK(storage_.Rename("d/tmp", "d/old"));
  for (const NameOrder order : kBoth) {
    const Texts found = Contents("d/old", order);
    EXPECT_TRUE(found.contains("")) << "an empty file";
    EXPECT_TRUE(found.contains(std::string(3, '\0'))) << "its length, but zeros";
  }
}

TEST_F(CrashStatesTest, ADeletionBeforeTheNewNameIsDurableLosesBothFiles) {
  Put("d/new", "new", true);
  ASSERT_OK(storage_.Remove("d/old"));
  bool lost = false;
  for (const DiskImage& image : States(NameOrder::kAny)) lost = lost || image.files.empty();
  EXPECT_TRUE(lost);
}

}  // namespace
}  // namespace tensorbundle::io
