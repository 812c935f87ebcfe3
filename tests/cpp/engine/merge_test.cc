#include "engine/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/tensors.h"
#include "format/naming.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

using io::FaultyStorage;
using io::Operation;

class MergeTest : public ::testing::Test {
 protected:
  MergeTest() : first_(1), second_(2), all_(0) {
    for (TestTensors* tensors : {&first_, &second_}) {
      const std::string outer = tensors == &first_ ? "a" : "b";
      for (int i = 0; i < 6; ++i) {
        tensors->Add(outer + std::to_string(i), static_cast<size_t>(5000 * i));
      }
    }
    for (const TestTensors* tensors : {&first_, &second_}) {
      for (size_t i = 0; i < tensors->size(); ++i) {
        all_.AddText(std::string(tensors->views()[i].name), tensors->bytes(i));
      }
    }
  }

  static Status SaveAs(io::Storage& storage, const std::string& prefix,
                       const TestTensors& tensors, uint32_t num_shards = 1) {
    SaveOptions options;
    options.num_shards = num_shards;
    return Save(storage, prefix, tensors.views(), options).status();
  }

  // A storage with two bundles, of two data files and of one.
  std::shared_ptr<io::Storage> WithSources() const {
    std::shared_ptr<io::Storage> storage = io::MakeMemoryStorage();
    EXPECT_TRUE(SaveAs(*storage, "d/x", first_, 2).ok());
    EXPECT_TRUE(SaveAs(*storage, "d/y", second_).ok());
    return storage;
  }

  static Result<MergeReport> Run(const std::shared_ptr<io::Storage>& storage,
                                 const std::string& destination = "d/out",
                                 bool delete_sources = false) {
    const std::vector<std::string> sources = {"d/x", "d/y"};
    MergeOptions options;
    options.delete_sources = delete_sources;
    options.num_threads = 1;  // the k-th call is the same every time
    return Merge(storage, sources, destination, options);
  }

  TestTensors first_;
  TestTensors second_;
  TestTensors all_;  // those of both
};

using Names = std::vector<std::string>;
const Names kSources = {"x.data-00000-of-00002", "x.data-00001-of-00002", "x.index",
                        "y.data-00000-of-00001", "y.index"};
const Names kMerged = {"out.data-00000-of-00003", "out.data-00001-of-00003",
                       "out.data-00002-of-00003", "out.index"};

Names Both() {
  Names names = kMerged;
  names.insert(names.end(), kSources.begin(), kSources.end());
  return names;
}

// Every file of the directory, by name.
std::map<std::string, std::string> Contents(io::Storage& storage) {
  std::map<std::string, std::string> contents;
  for (const std::string& name : ListSorted(storage, "d")) {
    contents[name] = ReadFile(storage, "d/" + name);
  }
  return contents;
}

TEST_F(MergeTest, TheDataFilesAreTheSourcesInTheirOrderAndNothingIsWrittenButTheIndex) {
  const auto memory = WithSources();
  const auto disk = std::make_shared<FaultyStorage>(*memory);
  const auto report = Run(disk);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(ListSorted(*memory, "d"), Both());
  for (size_t i = 0; i < 3; ++i) {
    const std::string source = i < 2 ? kSources[i] : kSources[3];
    EXPECT_EQ(*memory->Identify("d/" + kMerged[i]), *memory->Identify("d/" + source)) << i;
  }
  for (const io::Call& call : disk->log()) {
    if (call.operation == Operation::kWrite) {
      EXPECT_NE(call.path.find("out.index"), std::string::npos);
    }
    if (call.operation == Operation::kRead) {
      EXPECT_NE(call.path.find(".index"), std::string::npos);
    }
  }
  EXPECT_EQ(report->num_tensors, all_.size());
  EXPECT_EQ(report->num_shards, 3u);
  EXPECT_EQ(report->copied_bytes, 0u);
  EXPECT_GE(report->linked_bytes, 2u * 75'000);
  EXPECT_EQ(report->file_bytes,
            report->linked_bytes + ReadFile(*memory, "d/out.index").size());
  EXPECT_TRUE(ExpectHolds(memory, "d/out", all_).ok());
}

TEST_F(MergeTest, EveryAdoptedFileIsSyncedBeforeTheIndexMentionsIt) {
  const auto memory = WithSources();
  const auto disk = std::make_shared<FaultyStorage>(*memory);
  ASSERT_TRUE(Run(disk, "d/out", true).ok());
  std::vector<std::string> steps;
  for (const io::Call& call : disk->log()) {
    const std::string name = io::BaseNameOf(call.path);
    switch (call.operation) {
      case Operation::kSync:
      case Operation::kRemove:
      case Operation::kSyncDirectory:
      case Operation::kRename:
        steps.push_back(std::string(io::OperationName(call.operation)) + " " +
                        name.substr(0, name.find(".tmp.")));
        break;
      default: break;
    }
  }
  const std::vector<std::string> expected = {
      "sync out.data-00000-of-00003",
      "sync out.data-00001-of-00003",
      "sync out.data-00002-of-00003",
      "sync_directory d",
      "sync .out.index",
      "rename .out.index",
      "sync_directory d",
      "remove x.index",
      "remove x.data-00000-of-00002",
      "remove x.data-00001-of-00002",
      "remove y.index",
      "remove y.data-00000-of-00001",
  };
  EXPECT_EQ(steps, expected);
  EXPECT_EQ(ListSorted(*memory, "d"), kMerged);
}

TEST_F(MergeTest, FingerprintsGoWithTheirSource) {
  const auto storage = WithSources();
  ASSERT_TRUE((*storage->Create("d/x.fingerprints"))->Close().ok());
  ASSERT_TRUE((*storage->Create("d/other.fingerprints"))->Close().ok());
  ASSERT_TRUE(Run(storage, "d/out", true).ok());
  EXPECT_FALSE(*storage->Exists("d/x.fingerprints"));
  EXPECT_TRUE(*storage->Exists("d/other.fingerprints"));
}

TEST_F(MergeTest, TheMergedBundleOutlivesItsSources) {
  const auto storage = WithSources();
  ASSERT_TRUE(Run(storage).ok());
  for (const std::string& name : kSources) ASSERT_TRUE(storage->Remove("d/" + name).ok());
  EXPECT_TRUE(ExpectHolds(storage, "d/out", all_).ok());
}

TEST_F(MergeTest, SourcesStayWholeWhenTheMergedBundleIsRemovedOrReplaced) {
  const auto storage = WithSources();
  ASSERT_TRUE(Run(storage).ok());
  const auto before = Contents(*storage);
  ASSERT_TRUE(SaveAs(*storage, "d/out", first_).ok());
  ASSERT_TRUE(SaveAs(*storage, "d/out", second_).ok());
  const auto after = Contents(*storage);
  for (const std::string& name : kSources) EXPECT_TRUE(before.at(name) == after.at(name));
  EXPECT_TRUE(ExpectHolds(storage, "d/x", first_).ok());
  EXPECT_TRUE(ExpectHolds(storage, "d/y", second_).ok());
}

TEST_F(MergeTest, TheDestinationMayBeOneOfTheSources) {
  for (const std::string destination : {"d/x", "d/../d/y"}) {
    for (const bool delete_sources : {false, true}) {
      SCOPED_TRACE(destination);
      const auto storage = WithSources();
      const auto report = Run(storage, destination, delete_sources);
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_TRUE(report->remains.empty());
      EXPECT_TRUE(ExpectHolds(storage, destination, all_).ok());
      const bool other_stays = !delete_sources;
      EXPECT_EQ(ExpectHolds(storage, destination == "d/x" ? "d/y" : "d/x",
                            destination == "d/x" ? second_ : first_)
                    .ok(),
                other_stays);
      EXPECT_EQ(ListSorted(*storage, "d").size(),
                4u + (other_stays ? (destination == "d/x" ? 2 : 3) : 0));
    }
  }
}

TEST_F(MergeTest, OneSourceMayBeMergedOntoItself) {
  const auto storage = WithSources();
  const std::vector<std::string> source = {"d/x"};
  ASSERT_TRUE(Merge(storage, source, "d/x", {.delete_sources = true}).ok());
  EXPECT_TRUE(ExpectHolds(storage, "d/x", first_).ok());
}

TEST_F(MergeTest, AnOlderBundleAtTheDestinationIsReplacedWithAllItsFiles) {
  const auto storage = WithSources();
  ASSERT_TRUE(SaveAs(*storage, "d/out", first_, 3).ok());
  ASSERT_TRUE((*storage->Create("d/out.data-00000-of-00007"))->Close().ok());
  ASSERT_TRUE(Run(storage, "d/out", true).ok());
  EXPECT_EQ(ListSorted(*storage, "d"),
            (Names{"out.data-00000-of-00004", "out.data-00001-of-00004",
                   "out.data-00002-of-00004", "out.index"}));
  EXPECT_TRUE(ExpectHolds(storage, "d/out", all_).ok());
}

TEST_F(MergeTest, BundlesWithoutTensorsAddNothing) {
  const auto storage = WithSources();
  ASSERT_TRUE(SaveAs(*storage, "d/none", TestTensors()).ok());
  const std::vector<std::string> sources = {"d/none", "d/x", "d/y"};
  ASSERT_TRUE(Merge(storage, sources, "d/out", {}).ok());
  EXPECT_TRUE(ExpectHolds(storage, "d/out", all_).ok());
  EXPECT_EQ((*Bundle::Open(storage, "d/out"))->header().num_shards, 3u);
  const std::vector<std::string> empty = {"d/none"};
  ASSERT_TRUE(Merge(storage, empty, "d/empty", {}).ok());
  EXPECT_TRUE(ExpectHolds(storage, "d/empty", TestTensors()).ok());
}

TEST_F(MergeTest, DataFilesThatNoTensorRefersToAreLeftOut) {
  const auto storage = WithSources();
  // Replaced twice, so that its one data file is of three in the name.
  ASSERT_TRUE(SaveAs(*storage, "d/x", first_).ok());
  ASSERT_TRUE(SaveAs(*storage, "d/x", first_, 2).ok());
  ASSERT_TRUE(SaveAs(*storage, "d/x", first_, 2).ok());
  const auto report = Run(storage);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->num_shards, 3u);
  EXPECT_TRUE(ExpectHolds(storage, "d/out", all_).ok());
}

TEST_F(MergeTest, MissingSourcesAreRefusedOrPassedOver) {
  const auto storage = WithSources();
  const std::vector<std::string> sources = {"d/no", "d/x", "no/z", "d/y"};
  const Status refused = Merge(storage, sources, "d/out", {}).status();
  EXPECT_EQ(refused.error_number(), ENOENT);
  EXPECT_EQ(refused.path(), "d/no.index");
  const auto report = Merge(storage, sources, "d/out", {.allow_missing = true});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->missing, (Names{"d/no", "no/z"}));
  EXPECT_TRUE(ExpectHolds(storage, "d/out", all_).ok());
  const std::vector<std::string> none = {"d/no", "no/z"};
  EXPECT_EQ(Merge(storage, none, "d/other", {.allow_missing = true}).status().error_number(),
            ENOENT);
  EXPECT_EQ(Merge(storage, {}, "d/other", {}).status().code(), Code::kInvalidArgument);
}

TEST_F(MergeTest, WhatCannotBeMergedLeavesEverythingAsItWas) {
  struct Case {
    Names sources;
    Code code;
  };
  const auto storage = WithSources();
  ASSERT_TRUE(SaveAs(*storage, "d/same", first_).ok());
  ASSERT_TRUE(SaveAs(*storage, "d/lost", second_).ok());
  ASSERT_TRUE(storage->Remove("d/lost.data-00000-of-00001").ok());
  ASSERT_TRUE(SaveAs(*storage, "d/short", second_).ok());
  ASSERT_TRUE(storage->Remove("d/short.data-00000-of-00001").ok());
  ASSERT_TRUE((*storage->Create("d/short.data-00000-of-00001"))->Close().ok());
  ASSERT_TRUE(SaveAs(*storage, "d/odd", second_).ok());
  ASSERT_TRUE(storage->Remove("d/odd.data-00000-of-00001").ok());
  ASSERT_TRUE(storage->MakeDirectory("d/odd.data-00000-of-00001").ok());
  const auto before = Contents(*storage);
  for (const Case& c : {Case{{"d/x", "d/same"}, Code::kAlreadyExists},
                        Case{{"d/x", "d/../d/x"}, Code::kInvalidArgument},
                        Case{{"d/x", "d/lost"}, Code::kMissingShard},
                        Case{{"d/x", "d/short"}, Code::kOutOfBounds},
                        Case{{"d/x", "d/odd"}, Code::kNotRegularFile}}) {
    const Status status =
        Merge(storage, c.sources, "d/out", {.delete_sources = true}).status();
    EXPECT_EQ(CodeName(status.code()), CodeName(c.code)) << status.ToString();
    EXPECT_TRUE(Contents(*storage) == before);
  }
}

TEST_F(MergeTest, ALockedDestinationIsRefusedALockedSourceIsNotDeleted) {
  const auto storage = WithSources();
  {
    const auto lock = storage->TryLock(format::LockPath("d/out"));
    EXPECT_EQ(Run(storage).status().code(), Code::kLocked);
  }
  const auto lock = storage->TryLock(format::LockPath("d/x"));
  const auto report = Run(storage, "d/out", true);
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->remains.size(), 1u);
  EXPECT_NE(report->remains[0].find("d/x"), std::string::npos);
  EXPECT_TRUE(ExpectHolds(storage, "d/x", first_).ok());
  EXPECT_TRUE(ExpectHolds(storage, "d/out", all_).ok());
  EXPECT_FALSE(*storage->Exists("d/y.index"));
}

TEST_F(MergeTest, WhatCannotBeLinkedIsCopiedAndTheReportSaysWhy) {
  for (const int error : {EXDEV, EPERM, EMLINK, EOPNOTSUPP}) {
    const auto memory = WithSources();
    const auto disk = std::make_shared<FaultyStorage>(*memory);
    disk->ActAsDevice({.granule = {512, 512}});
    disk->FailCall(
        {.operation = Operation::kLink, .nth = 2, .error_number = error, .for_ever = true});
    const auto report = Run(disk, "d/out", true);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_GT(report->linked_bytes, 0u);
    EXPECT_GT(report->copied_bytes, 0u);
    EXPECT_NE(report->copy_reason.find("x.data-00001-of-00002"), std::string::npos);
    EXPECT_EQ(ListSorted(*memory, "d"), kMerged);
    EXPECT_TRUE(ExpectHolds(memory, "d/out", all_).ok());
  }
}

TEST_F(MergeTest, ACopyCanBeStopped) {
  class Stop final : public Observer {
   public:
    bool Poll(uint64_t, uint64_t) override { return false; }
  };
  const auto memory = WithSources();
  ASSERT_TRUE(memory->Remove("d/y.index").ok());
  TestTensors large;
  large.Add("large", 64u << 20);
  ASSERT_TRUE(SaveAs(*memory, "d/y", large).ok());
  const auto before = ListSorted(*memory, "d");
  const auto disk = std::make_shared<FaultyStorage>(*memory);
  disk->FailCall({.operation = Operation::kLink, .error_number = EXDEV, .for_ever = true});
  Stop stop;
  const std::vector<std::string> sources = {"d/x", "d/y"};
  EXPECT_EQ(Merge(disk, sources, "d/out", {.observer = &stop}).status().code(),
            Code::kCancelled);
  EXPECT_EQ(ListSorted(*memory, "d"), before);
}

// ---- A call fails -----------------------------------------------------------------------

class MergeFaultTest : public MergeTest, public ::testing::WithParamInterface<bool> {
 protected:
  // A storage whose links fail where the parameter says, so that everything is copied.
  std::shared_ptr<FaultyStorage> DiskOn(io::Storage& memory) const {
    auto disk = std::make_shared<FaultyStorage>(memory);
    if (GetParam()) {
      disk->FailCall({.operation = Operation::kLink, .error_number = EXDEV, .for_ever = true});
    }
    return disk;
  }

  std::shared_ptr<io::Storage> Fresh() const {
    auto memory = WithSources();
    EXPECT_TRUE(SaveAs(*memory, "d/out", second_).ok());  // to be replaced
    return memory;
  }

  std::vector<io::Call> Calls() const {
    const auto memory = Fresh();
    const auto disk = DiskOn(*memory);
    EXPECT_TRUE(Run(disk, "d/out", true).ok());
    return disk->log();
  }

  bool SourcesAreWhole(const std::shared_ptr<io::Storage>& storage) const {
    return ExpectHolds(storage, "d/x", first_).ok() &&
           ExpectHolds(storage, "d/y", second_).ok();
  }
};

INSTANTIATE_TEST_SUITE_P(Ways, MergeFaultTest, ::testing::Bool(),
                         [](const auto& copies) { return copies.param ? "Copy" : "Link"; });

TEST_P(MergeFaultTest, WhicheverCallFailsSourcesOrDestinationAreWhole) {
  const std::vector<io::Call> calls = Calls();
  const auto is_commit = [](const io::Call& call) {
    return call.operation == Operation::kRename && call.destination == "d/out.index";
  };
  const auto commit =
      static_cast<size_t>(std::find_if(calls.begin(), calls.end(), is_commit) - calls.begin());
  ASSERT_LT(commit, calls.size());
  for (size_t k = 0; k < calls.size(); ++k) {
    if (calls[k].operation == Operation::kLink && GetParam()) continue;  // fails anyway
    SCOPED_TRACE(std::string(io::OperationName(calls[k].operation)) + " of " + calls[k].path +
                 ", call " + std::to_string(k + 1));
    const auto memory = Fresh();
    const auto before = Contents(*memory);
    const auto disk = DiskOn(*memory);
    disk->FailCall({.operation = {}, .nth = k + 1, .error_number = EIO});
    const auto report = Run(disk, "d/out", true);
    // Who cannot ask which index stands there takes it for the one that was opened.
    const bool is_lenient = calls[k].operation == Operation::kIdentify && report.ok();
    if (k <= commit && !is_lenient) {
      EXPECT_EQ(report.status().error_number(), EIO);
      EXPECT_TRUE(Contents(*memory) == before);
      continue;
    }
    EXPECT_TRUE(ExpectHolds(memory, "d/out", all_).ok());
    if (!report.ok()) {  // the sync of the directory
      EXPECT_EQ(report.status().error_number(), EIO);
      EXPECT_TRUE(SourcesAreWhole(memory));
    }
  }
}

TEST_P(MergeFaultTest, WhereverItDiesSourcesOrDestinationAreWhole) {
  const uint64_t num_calls = Calls().size();
  for (uint64_t k = 1; k <= num_calls; ++k) {
    SCOPED_TRACE("died at call " + std::to_string(k));
    const auto memory = Fresh();
    const auto dying = DiskOn(*memory);
    dying->FailCall({.operation = {}, .nth = k, .error_number = EIO, .for_ever = true});
    static_cast<void>(Run(dying, "d/out", true));
    const bool merged = ExpectHolds(memory, "d/out", all_).ok();
    EXPECT_TRUE(merged ||
                (SourcesAreWhole(memory) && ExpectHolds(memory, "d/out", second_).ok()));
    if (!SourcesAreWhole(memory)) continue;
    // What it left is no hindrance, and goes.
    ASSERT_TRUE(Run(memory, "d/out", true).ok());
    EXPECT_TRUE(ExpectHolds(memory, "d/out", all_).ok());
    EXPECT_EQ(ListSorted(*memory, "d").size(), 4u);
  }
}

}  // namespace
}  // namespace tensorbundle::engine
