#include "engine/rename.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "engine/tensors.h"
#include "format/naming.h"
#include "format/slices.h"
#include "io/crash_states.h"
#include "io/faulty_storage.h"
#include "io/recording_storage.h"

namespace tensorbundle::engine {
namespace {

using Names = std::vector<NewName>;

class RenameTest : public ::testing::Test {
 protected:
  RenameTest() : storage_(io::MakeMemoryStorage()) {
    EXPECT_TRUE(storage_->MakeDirectory("d").ok());
    for (const char* name : {"a", "b", "c"}) old_.Add(name, 700);
    new_.AddText("x", old_.bytes(0));
    new_.AddText("a", old_.bytes(1));
    new_.AddText("c", old_.bytes(2));
    SaveOptions options;
    options.num_shards = 2;
    EXPECT_TRUE(Save(*storage_, "d/m", old_.views(), options).ok());
  }

  Code CodeOf(const Names& names) { return Rename(storage_, "d/m", names).status().code(); }

  // What the names are of `storage`: 'o'ld, 'n'ew, or neither.
  char Told(const std::shared_ptr<io::Storage>& storage) const {
    if (ExpectHolds(storage, "d/m", new_).ok()) return 'n';
    return ExpectHolds(storage, "d/m", old_).ok() ? 'o' : '?';
  }

  const Names names_ = {{"a", "x"}, {"b", "a"}};
  std::shared_ptr<io::Storage> storage_;
  TestTensors old_;
  TestTensors new_;
};

TEST_F(RenameTest, TensorsHaveTheirNewNamesAndTheDataFilesAreTheSame) {
  const auto before = io::ImageOf(*storage_, "d");
  const auto report = Rename(storage_, "d/m", names_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->num_tensors, 3u);
  EXPECT_EQ(report->num_renamed, 2u);
  EXPECT_EQ(Told(storage_), 'n');
  EXPECT_EQ(
      ListSorted(*storage_, "d"),
      (std::vector<std::string>{"m.data-00000-of-00002", "m.data-00001-of-00002", "m.index"}));
  for (const char* name : {"d/m.data-00000-of-00002", "d/m.data-00001-of-00002"}) {
    EXPECT_EQ(ReadFile(*storage_, name), ReadFile(*io::MakeStorageFrom(before), name));
  }
}

TEST_F(RenameTest, NamesMayBeExchangedAndGivenBack) {
  const std::string index = ReadFile(*storage_, "d/m.index");
  ASSERT_TRUE(Rename(storage_, "d/m", Names{{"a", "b"}, {"b", "a"}}).ok());
  EXPECT_NE(ReadFile(*storage_, "d/m.index"), index);
  ASSERT_TRUE(Rename(storage_, "d/m", Names{{"a", "b"}, {"b", "a"}}).ok());
  EXPECT_EQ(ReadFile(*storage_, "d/m.index"), index);
}

TEST_F(RenameTest, WhatCannotBeIsRefusedAndChangesNothing) {
  const std::string index = ReadFile(*storage_, "d/m.index");
  EXPECT_EQ(CodeOf({{"a", "b"}}), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf({{"a", "x"}, {"b", "x"}}), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf({{"a", ""}}), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf({{"a", format::EncodeSliceKey("b", {{0, 2}})}}), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf({{"a", "x"}, {"a", "y"}}), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf({{"none", "x"}}), Code::kNotFound);
  EXPECT_EQ(CodeOf({{"", "x"}}), Code::kNotFound);
  EXPECT_EQ(CodeOf({{"a", std::string(2u << 20, 'x')}}), Code::kLimitExceeded);
  EXPECT_EQ(Rename(storage_, "d/none", names_).status().error_number(), ENOENT);
  EXPECT_EQ(ReadFile(*storage_, "d/m.index"), index);
  EXPECT_EQ(storage_->List("d")->size(), 3u);
}

TEST_F(RenameTest, ASaveThatIsUnderWayIsWaitedForByNobody) {
  const auto lock = storage_->TryLock(format::LockPath("d/m"));
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(CodeOf(names_), Code::kLocked);
}

TEST_F(RenameTest, WhicheverCallFailsTheNamesAreAllOldOrAllNew) {
  uint64_t num_calls = 1;
  bool any_failed = false;
  for (uint64_t nth = 1; nth <= num_calls; ++nth) {
    const std::shared_ptr<io::Storage> memory =
        io::MakeStorageFrom(io::ImageOf(*storage_, "d"));
    const auto faulty = std::make_shared<io::FaultyStorage>(*memory);
    faulty->FailCall({.operation = {}, .nth = nth, .error_number = EIO, .for_ever = false});
    const bool ok = Rename(faulty, "d/m", names_).ok();
    any_failed = any_failed || !ok;
    num_calls = faulty->calls();
    const char told = Told(memory);
    EXPECT_TRUE(told == 'n' || (!ok && told == 'o')) << "call " << nth << ": " << told;
    EXPECT_EQ(memory->List("d")->size(), 3u) << "call " << nth;
  }
  EXPECT_TRUE(any_failed);
}

TEST_F(RenameTest, APowerCutLeavesTheOldNamesOrTheNew) {
  const io::DiskImage before = io::ImageOf(*storage_, "d");
  const auto recording = std::make_shared<io::RecordingStorage>(*storage_);
  ASSERT_TRUE(Rename(recording, "d/m", names_).ok());
  const auto log = recording->log();
  const io::CrashStates crashes(before, log);
  std::string seen;
  for (const io::NameOrder order : {io::NameOrder::kJournal, io::NameOrder::kAny}) {
    for (const size_t point : crashes.Points()) {
      crashes.ForEach({point, order}, [&](const io::DiskImage& image) {
        seen += Told(io::MakeStorageFrom(image));
      });
    }
  }
  EXPECT_NE(seen.find('o'), std::string::npos);
  EXPECT_NE(seen.find('n'), std::string::npos);
  EXPECT_EQ(seen.find('?'), std::string::npos);
}

// To a place of its own, where an older bundle is.
class RenameToTest : public RenameTest {
 protected:
  RenameToTest() {
    older_.Add("q", 90);
    EXPECT_TRUE(Save(*storage_, "d/out", older_.views(), {}).ok());
    options_.destination = "d/out";
    options_.adoption.num_threads = 1;  // the k-th call is the same every time
  }

  // What the destination is, of which the source must know nothing.
  char ToldOfBoth(const std::shared_ptr<io::Storage>& storage) const {
    if (!ExpectHolds(storage, "d/m", old_).ok()) return '!';
    if (ExpectHolds(storage, "d/out", new_).ok()) return 'n';
    return ExpectHolds(storage, "d/out", older_).ok() ? 'o' : '?';
  }

  RenameOptions options_;
  TestTensors older_;
};

TEST_F(RenameToTest, TheDataFilesAreTheSourcesAndTheSourceStays) {
  const std::string index = ReadFile(*storage_, "d/m.index");
  const auto report = Rename(storage_, "d/m", names_, options_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(ToldOfBoth(storage_), 'n');
  EXPECT_EQ(ReadFile(*storage_, "d/m.index"), index);
  EXPECT_EQ(ListSorted(*storage_, "d"),
            (std::vector<std::string>{"m.data-00000-of-00002", "m.data-00001-of-00002",
                                      "m.index", "out.data-00000-of-00002",
                                      "out.data-00001-of-00002", "out.index"}));
  for (const char* shard : {".data-00000-of-00002", ".data-00001-of-00002"}) {
    EXPECT_EQ(*storage_->Identify(std::string("d/m") + shard),
              *storage_->Identify(std::string("d/out") + shard));
  }
  EXPECT_EQ(report->num_renamed, 2u);
  EXPECT_GE(report->adopted.linked_bytes, 2100u);
  EXPECT_EQ(report->adopted.copied_bytes, 0u);
}

TEST_F(RenameToTest, TheIndexButForTheNamesIsThatOfARenamingInPlace) {
  ASSERT_TRUE(Rename(storage_, "d/m", names_, options_).ok());
  ASSERT_TRUE(Rename(storage_, "d/m", names_).ok());
  EXPECT_EQ(ReadFile(*storage_, "d/out.index"), ReadFile(*storage_, "d/m.index"));
}

TEST_F(RenameToTest, FilesOfTheSameCountAreNeverOverwritten) {
  ASSERT_TRUE(Rename(storage_, "d/m", names_, options_).ok());
  ASSERT_TRUE(Rename(storage_, "d/m", names_, options_).ok());
  EXPECT_EQ(ToldOfBoth(storage_), 'n');
  EXPECT_TRUE(*storage_->Exists("d/out.data-00001-of-00003"));
  EXPECT_FALSE(*storage_->Exists("d/out.data-00001-of-00002"));
}

TEST_F(RenameToTest, TheDestinationMayBeTheSource) {
  options_.destination = "d/../d/m";
  ASSERT_TRUE(Rename(storage_, "d/m", names_, options_).ok());
  EXPECT_EQ(Told(storage_), 'n');
  EXPECT_EQ(ListSorted(*storage_, "d").size(), 5u);
}

TEST_F(RenameToTest, ABundleWithoutTensorsHasADataFileToo) {
  ASSERT_TRUE(Save(*storage_, "d/m", {}, {}).ok());
  ASSERT_TRUE(Rename(storage_, "d/m", {}, options_).ok());
  const auto bundle = Bundle::Open(storage_, "d/out");
  ASSERT_TRUE(bundle.ok());
  EXPECT_TRUE(*storage_->Exists((*bundle)->ShardPath(0)));
}

TEST_F(RenameToTest, WhatIsNotAsTheIndexSaysIsRefusedAndNothingIsMade) {
  const auto before = ListSorted(*storage_, "d");
  const auto refused = [&](const Names& names) {
    const Code code = Rename(storage_, "d/m", names, options_).status().code();
    EXPECT_EQ(ListSorted(*storage_, "d"), before);
    EXPECT_TRUE(ExpectHolds(storage_, "d/out", older_).ok());
    return code;
  };
  EXPECT_EQ(refused({{"a", "b"}}), Code::kAlreadyExists);
  EXPECT_EQ(refused({{"none", "b"}}), Code::kNotFound);
  {
    const auto lock = storage_->TryLock(format::LockPath("d/out"));
    EXPECT_EQ(Rename(storage_, "d/m", names_, options_).status().code(), Code::kLocked);
  }
  ASSERT_TRUE(storage_->Remove("d/m.data-00001-of-00002").ok());
  ASSERT_TRUE((*storage_->Create("d/m.data-00001-of-00002"))->Close().ok());
  EXPECT_EQ(refused(names_), Code::kOutOfBounds);
}

TEST_F(RenameToTest, WhicheverCallFailsTheSourceStaysAndTheDestinationIsWhole) {
  uint64_t num_calls = 1;
  bool any_failed = false;
  for (uint64_t nth = 1; nth <= num_calls; ++nth) {
    const std::shared_ptr<io::Storage> memory =
        io::MakeStorageFrom(io::ImageOf(*storage_, "d"));
    const auto faulty = std::make_shared<io::FaultyStorage>(*memory);
    faulty->FailCall({.operation = {}, .nth = nth, .error_number = EIO, .for_ever = false});
    const bool ok = Rename(faulty, "d/m", names_, options_).ok();
    any_failed = any_failed || !ok;
    num_calls = faulty->calls();
    const char told = ToldOfBoth(memory);
    EXPECT_TRUE(told == 'n' || (!ok && told == 'o')) << "call " << nth << ": " << told;
    EXPECT_TRUE(told != 'o' || memory->List("d")->size() == 5u) << "call " << nth;
  }
  EXPECT_TRUE(any_failed);
}

TEST_F(RenameToTest, APowerCutLeavesTheSourceAndAWholeDestination) {
  const io::DiskImage before = io::ImageOf(*storage_, "d");
  const auto recording = std::make_shared<io::RecordingStorage>(*storage_);
  ASSERT_TRUE(Rename(recording, "d/m", names_, options_).ok());
  const auto log = recording->log();
  const io::CrashStates crashes(before, log);
  std::string seen;
  for (const io::NameOrder order : {io::NameOrder::kJournal, io::NameOrder::kAny}) {
    for (const size_t point : crashes.Points()) {
      crashes.ForEach({point, order}, [&](const io::DiskImage& image) {
        seen += ToldOfBoth(io::MakeStorageFrom(image));
      });
    }
  }
  EXPECT_NE(seen.find('o'), std::string::npos);
  EXPECT_NE(seen.find('n'), std::string::npos);
  EXPECT_EQ(seen.find_first_of("?!"), std::string::npos);
}

}  // namespace
}  // namespace tensorbundle::engine
