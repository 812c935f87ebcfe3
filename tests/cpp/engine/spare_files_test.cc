// Which files are kept for later saves, which are written anew, and what nobody may see of it.

#include "engine/spare_files.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "engine/tensors.h"
#include "format/naming.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

using io::FaultyStorage;
using io::Operation;

constexpr size_t kSize = 3 << 20;  // bytes: far from any slack

struct Model : TestTensors {
  explicit Model(unsigned seed, size_t size = kSize, int count = 1) : TestTensors(seed) {
    for (int i = 0; i < count; ++i) Add("t" + std::to_string(i), size);
  }
};

class SpareFilesTest : public ::testing::Test {
 protected:
  SpareFilesTest() : storage_(io::MakeMemoryStorage()), disk_(*storage_), spares_(storage_) {
    EXPECT_TRUE(storage_->MakeDirectory("d").ok());
  }

  // The bytes that were written into files of replaced bundles.
  uint64_t SaveTo(const std::string& prefix, const TestTensors& tensors,
                  SaveOptions options = {}) {
    options.spares = &spares_;
    const auto report = Save(disk_, prefix, tensors.views(), options);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_TRUE(ExpectHolds(storage_, prefix, tensors).ok());
    return report.ok() ? report->recycled_bytes : 0;
  }

  std::vector<std::string> Hidden() const {
    std::vector<std::string> names = ListSorted(*storage_, "d");
    std::erase_if(names, [](const std::string& name) { return name[0] != '.'; });
    return names;
  }

  std::string PathOfSpare() const { return Hidden().empty() ? "" : "d/" + Hidden()[0]; }

  const std::shared_ptr<io::Storage> storage_;
  FaultyStorage disk_;
  SpareFiles spares_;
  const Model a_{1}, b_{2}, c_{3};
};

TEST_F(SpareFilesTest, AReplacedFileIsKeptAndTheNextSaveWritesIntoIt) {
  EXPECT_EQ(SaveTo("d/x", a_), 0u);
  EXPECT_EQ(SaveTo("d/x", b_), 0u) << "the first is still the checkpoint";
  ASSERT_EQ(Hidden().size(), 1u);
  EXPECT_TRUE(format::IsTemporaryName(Hidden()[0], "x"));
  EXPECT_TRUE(spares_.Has(PathOfSpare()));
  const auto kept = storage_->Identify(PathOfSpare());
  EXPECT_EQ(SaveTo("d/x", c_), kSize);
  EXPECT_EQ(*storage_->Identify("d/x.data-00000-of-00001"), *kept);
  EXPECT_EQ(Hidden().size(), 1u);
  EXPECT_EQ(SaveTo("d/y", a_), kSize) << "of another prefix";
  EXPECT_EQ(Hidden().size(), 0u);
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", c_).ok());
}

TEST_F(SpareFilesTest, NothingIsKeptOrTakenWithoutThem) {
  for (const Model* model : {&a_, &b_, &c_}) {
    const auto report = Save(disk_, "d/x", model->views(), {});
    ASSERT_TRUE(report.ok());
    EXPECT_EQ(report->recycled_bytes, 0u);
    EXPECT_EQ(Hidden().size(), 0u);
  }
  EXPECT_EQ(disk_.calls(Operation::kReopen), 0u);
}

TEST_F(SpareFilesTest, ClearAndTheEndRemoveThem) {
  SaveTo("d/x", a_);
  SaveTo("d/x", b_);
  EXPECT_EQ(Hidden().size(), 1u);
  spares_.Clear();
  EXPECT_EQ(Hidden().size(), 0u);
  {
    SpareFiles others(storage_);
    SaveOptions options;
    options.spares = &others;
    ASSERT_TRUE(Save(disk_, "d/x", c_.views(), options).ok());
    EXPECT_EQ(Hidden().size(), 1u);
  }
  EXPECT_EQ(Hidden().size(), 0u);
}

TEST_F(SpareFilesTest, AForkedChildRemovesAndTakesNone) {
  SaveTo("d/x", a_);
  SaveTo("d/x", b_);
  const pid_t child = ::fork();
  if (child == 0) {
    spares_.Clear();
    const bool unused = spares_.Take(disk_, "d/y", kSize) == nullptr;
    ::_exit(unused && Hidden().size() == 1 && !spares_.Has(PathOfSpare()) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(spares_.Has(PathOfSpare()));
}

// ---- what is kept --------------------------------------------------------------------------

TEST_F(SpareFilesTest, NoMoreFilesAreKeptThanTheNextSaveCanUse) {
  SaveOptions three;
  three.num_shards = 3;
  const Model large(4, kSize, 3);
  SaveTo("d/x", large, three);
  SaveTo("d/x", large, three);
  EXPECT_EQ(Hidden().size(), 3u);
  SaveOptions one;
  one.num_shards = 1;
  EXPECT_EQ(SaveTo("d/x", a_, one), kSize);
  EXPECT_EQ(Hidden().size(), 1u) << "the two others and two of the replaced ones are gone";
}

TEST_F(SpareFilesTest, AMuchLargerOrSmallerFileIsNotKept) {
  SaveTo("d/x", Model(4, 4 * kSize));
  SaveTo("d/x", a_);
  EXPECT_EQ(Hidden().size(), 0u);
  SaveTo("d/x", Model(4, 4 * kSize));
  EXPECT_EQ(Hidden().size(), 0u);
}

TEST_F(SpareFilesTest, AFileOfAboutTheSizeIsMadeExactlyAsLongAsTheNewOne) {
  const Model longer(4, kSize + 1000);
  const Model shorter(5, kSize - 1000);
  SaveTo("d/x", longer);
  SaveTo("d/x", a_);
  EXPECT_EQ(SaveTo("d/x", shorter), kSize - 1000);
  EXPECT_EQ(ReadFile(*storage_, "d/x.data-00000-of-00001").size(), kSize - 1000);
  EXPECT_EQ(SaveTo("d/x", longer), kSize + 1000);
  EXPECT_EQ(ReadFile(*storage_, "d/x.data-00000-of-00002").size(), kSize + 1000);
}

TEST_F(SpareFilesTest, OfSeveralTheNearestInSizeIsTaken) {
  SaveOptions options;
  options.num_shards = 2;
  TestTensors tensors(4);
  tensors.Add("large", kSize + 500'000);
  tensors.Add("small", kSize);
  SaveTo("d/x", tensors, options);
  SaveTo("d/x", tensors, options);
  SaveTo("d/y", tensors, options);
  for (const auto& call : disk_.log()) {
    if (call.operation == Operation::kTruncate) {
      EXPECT_GE(call.size, kSize);
    }
  }
  EXPECT_EQ(Hidden().size(), 0u);
  EXPECT_EQ(disk_.calls(Operation::kReopen), 2u);
}

TEST_F(SpareFilesTest, OnlyTheDirectoryOfTheLastSaveHasAny) {
  ASSERT_TRUE(storage_->MakeDirectory("e").ok());
  SaveTo("d/x", a_);
  SaveTo("d/x", b_);
  EXPECT_EQ(Hidden().size(), 1u);
  EXPECT_EQ(SaveTo("e/x", a_), 0u);
  EXPECT_EQ(Hidden().size(), 0u);
  EXPECT_FALSE(spares_.Keep(disk_, "d/x.data-00000-of-00002", true));
}

TEST_F(SpareFilesTest, OnlyDataFilesAreKept) {
  SaveTo("d/x", a_);
  SaveTo("d/y", a_);
  EXPECT_FALSE(spares_.Keep(disk_, "d/y.index", true));
  EXPECT_FALSE(spares_.Keep(disk_, "d/no.data-00000-of-00001", true));
  EXPECT_TRUE(spares_.Keep(disk_, "d/y.data-00000-of-00001", true));
}

TEST_F(SpareFilesTest, TheLastSyncOfAReplacedBundleComesBeforeItsFileIsKept) {
  SaveTo("d/x", a_);
  disk_.FailCall({.operation = Operation::kSyncDirectory,
                  .nth = disk_.calls(Operation::kSyncDirectory) + 2});
  SaveOptions options;
  options.spares = &spares_;
  EXPECT_FALSE(Save(disk_, "d/x", b_.views(), options).ok());
  EXPECT_EQ(Hidden().size(), 0u);
}

// ---- what is written into ------------------------------------------------------------------

TEST_F(SpareFilesTest, AFileThatSomebodyHasOpenIsNotWrittenInto) {
  SaveTo("d/x", a_);
  const auto reader = storage_->OpenForRead("d/x.data-00000-of-00001");
  SaveTo("d/x", b_);
  EXPECT_EQ(SaveTo("d/x", c_), 0u);
  std::string seen(kSize, '\0');
  ASSERT_TRUE((*reader)->ReadAt(0, std::as_writable_bytes(std::span(seen))).ok());
  EXPECT_EQ(seen, a_.bytes(0));
  EXPECT_EQ(Hidden().size(), 1u) << "the refused one is gone, the next is kept";
}

TEST_F(SpareFilesTest, AFileWithAnotherNameIsNotWrittenInto) {
  SaveTo("d/x", a_);
  ASSERT_TRUE(storage_->Link("d/x.data-00000-of-00001", "d/other").ok());
  SaveTo("d/x", b_);
  EXPECT_EQ(SaveTo("d/x", c_), 0u);
  EXPECT_EQ(ReadFile(*storage_, "d/other"), a_.bytes(0));
}

TEST_F(SpareFilesTest, AnotherFileInItsPlaceIsNotWrittenInto) {
  SaveTo("d/x", a_);
  SaveTo("d/x", b_);
  const auto keep_inode = storage_->OpenForRead(PathOfSpare());
  const std::string path = PathOfSpare();
  ASSERT_TRUE(storage_->Remove(path).ok());
  ASSERT_TRUE(storage_->Create(path).ok());
  EXPECT_EQ(SaveTo("d/x", c_), 0u);
}

TEST_F(SpareFilesTest, AFileThatOthersHaveSweptIsDoneWithout) {
  SaveTo("d/x", a_);
  SaveTo("d/x", b_);
  ASSERT_TRUE(Save(*storage_, "d/x", a_.views(), {}).ok());  // knows nothing of ours
  EXPECT_EQ(Hidden().size(), 0u);
  EXPECT_EQ(SaveTo("d/x", c_), 0u);
}

// Another process finds the name, and a moment later it is gone.
TEST_F(SpareFilesTest, ASweepMissesAFileThatItsOwnerHasTaken) {
  SaveTo("d/x", a_);
  SaveTo("d/x", b_);
  FaultyStorage other(*storage_);
  other.FailCall({.operation = Operation::kRemove, .nth = 1, .error_number = ENOENT});
  EXPECT_TRUE(Save(other, "d/x", c_.views(), {}).ok());
}

TEST_F(SpareFilesTest, ARemovedBundlesFileIsWrittenIntoOnlyAfterASync) {
  SaveTo("d/x", a_);
  SaveTo("d/y", a_);
  ASSERT_TRUE(storage_->Remove("d/x.index").ok());
  ASSERT_TRUE(spares_.Keep(disk_, "d/x.data-00000-of-00001", false));
  const size_t before = disk_.log().size();
  EXPECT_EQ(SaveTo("d/z", b_), kSize);
  const auto log = disk_.log();
  const auto first = [&](Operation operation) {
    return std::find_if(log.begin() + static_cast<ptrdiff_t>(before), log.end(),
                        [&](const io::Call& call) { return call.operation == operation; });
  };
  EXPECT_LT(first(Operation::kSyncDirectory), first(Operation::kReopen));
}

TEST_F(SpareFilesTest, WhereThatSyncFailsItIsNotWrittenInto) {
  SaveTo("d/x", a_);
  SaveTo("d/y", a_);
  ASSERT_TRUE(storage_->Remove("d/x.index").ok());
  ASSERT_TRUE(spares_.Keep(disk_, "d/x.data-00000-of-00001", false));
  disk_.FailCall({.operation = Operation::kSyncDirectory,
                  .nth = disk_.calls(Operation::kSyncDirectory) + 1});
  EXPECT_EQ(SaveTo("d/z", b_), 0u);
  EXPECT_EQ(Hidden().size(), 0u);
}

TEST_F(SpareFilesTest, WithoutDurabilityEachFileWaitsForASyncToo) {
  SaveOptions options;
  options.durability = Durability::kNone;
  SaveTo("d/x", a_, options);
  SaveTo("d/x", b_, options);
  EXPECT_EQ(disk_.calls(Operation::kSyncDirectory), 0u);
  EXPECT_EQ(SaveTo("d/x", c_, options), kSize);
  EXPECT_EQ(disk_.calls(Operation::kSyncDirectory), 1u);
}

// ---- stale bytes ---------------------------------------------------------------------------

// Gaps inside an extent, at the end of one, and of whole extents.
TEST_F(SpareFilesTest, GapsReadAsZerosInAFileThatWasUsed) {
  for (const uint64_t alignment : {uint64_t{64}, uint64_t{1} << 20}) {
    TestTensors gappy(7);
    // The second ends just before an extent does, and the third begins with the next.
    for (const size_t size : {700'001u, (16u << 20) - 700'032u - 10u, 900'003u, 100u}) {
      gappy.Add("t" + std::to_string(gappy.size()), size);
    }
    SaveOptions options;
    options.alignment = alignment;
    const auto fresh = io::MakeMemoryStorage();
    ASSERT_TRUE(Save(*fresh, "d/x", gappy.views(), options).ok());
    const std::string expected = ReadFile(*fresh, "d/x.data-00000-of-00001");
    const Model full(8, expected.size());
    SaveTo("d/x", full, options);
    SaveTo("d/x", full, options);
    EXPECT_EQ(SaveTo("d/y", gappy, options), expected.size());
    EXPECT_TRUE(ReadFile(*storage_, "d/y.data-00000-of-00001") == expected) << alignment;
    spares_.Clear();
    for (const std::string& name : ListSorted(*storage_, "d")) {
      ASSERT_TRUE(storage_->Remove("d/" + name).ok());
    }
  }
}

TEST_F(SpareFilesTest, AFileThatIsMostlyGapsIsNewAndStaysSparse) {
  TestTensors sparse(7);
  for (int i = 0; i < 4; ++i) sparse.Add("t" + std::to_string(i), 1000);
  SaveOptions options;
  options.alignment = 1 << 20;
  SaveTo("d/x", Model(8, 3'200'000), options);
  SaveTo("d/x", Model(8, 3'200'000), options);
  EXPECT_EQ(SaveTo("d/y", sparse, options), 0u);
}

TEST_F(SpareFilesTest, ASaveThatFailsLeavesNothing) {
  SaveTo("d/x", a_);
  SaveTo("d/x", b_);
  disk_.FailCall({.operation = Operation::kSync, .nth = disk_.calls(Operation::kSync) + 1});
  SaveOptions options;
  options.spares = &spares_;
  EXPECT_FALSE(Save(disk_, "d/x", c_.views(), options).ok());
  EXPECT_EQ(Hidden().size(), 0u);
  EXPECT_TRUE(ExpectHolds(storage_, "d/x", b_).ok());
}

}  // namespace
}  // namespace tensorbundle::engine
