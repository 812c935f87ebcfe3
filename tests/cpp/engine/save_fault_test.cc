// A save whose k-th call fails, for every k and on every kind of disk: the old bundle is
// as it was, nothing is left, and the error says what failed, where and why.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "engine/stream_writer.h"
#include "engine/tensors.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

using io::Device;
using io::FaultyStorage;
using io::Operation;

constexpr io::Granule kGranule = {512, 512};

struct DiskKind {
  const char* name;
  Device device;
  bool streams = false;  // tensor by tensor (engine/stream_writer.h)
};

constexpr DiskKind kDisks[] = {
    {"Buffered", {}},
    {"Direct", {kGranule, false, false, 0}},
    {"Ring", {kGranule, true, false, 0}},
    {"RingOfShortWrites", {kGranule, true, true, 0}},
    {"StreamedBuffered", {}, true},
    {"StreamedRing", {kGranule, true, false, 0}, true},
};

class SaveFaultTest : public ::testing::TestWithParam<DiskKind> {
 protected:
  SaveFaultTest() : old_(1), new_(2) {
    for (int i = 0; i < 5; ++i) {
      old_.Add("t" + std::to_string(i), 3000);
      new_.Add("t" + std::to_string(i), 70'000);
    }
    new_.Add("large", 400'000);  // in several blocks, some from its own memory
  }

  // A storage with the old bundle in it.
  std::shared_ptr<io::Storage> Fresh() const {
    std::shared_ptr<io::Storage> storage = io::MakeMemoryStorage();
    EXPECT_TRUE(Save(*storage, "d/x", old_.views(), {}).ok());
    return storage;
  }

  // What a fault is to meet: the same storage as a disk of the kind under test.
  std::unique_ptr<FaultyStorage> DiskOn(io::Storage& storage) const {
    auto disk = std::make_unique<FaultyStorage>(storage);
    if (GetParam().device.granule != io::Granule()) disk->ActAsDevice(GetParam().device);
    return disk;
  }

  Result<SaveReport> Run(io::Storage& storage, size_t num_threads = 1) const {
    SaveOptions options;
    options.alignment = 16;  // as malloc(3) places them: so they need not be staged
    options.num_shards = 2;
    options.num_threads = num_threads;  // one: the k-th call is the same every time
    options.transfer.block_size = 64u << 10;
    options.memory_granule = GetParam().device.granule.memory;
    options.direct = options.memory_granule > 1;
    return GetParam().streams ? Stream(storage, options)
                              : Save(storage, "d/x", new_.views(), options);
  }

  Result<SaveReport> Stream(io::Storage& storage, const SaveOptions& options) const {
    // Borrowed: the test's own storage outlives the writer.
    const std::shared_ptr<io::Storage> borrowed(&storage, [](io::Storage*) {});
    TB_ASSIGN_OR_RETURN(const auto writer, StreamWriter::Open(borrowed, "d/x", options,
                                                              Coverage::kFull, 256u << 10));
    for (const TensorView& view : new_.views()) {
      TB_RETURN_IF_ERROR(writer->Add(view, nullptr));
    }
    return writer->Finish(nullptr);
  }

  Status SaveNew(io::Storage& storage, size_t num_threads = 1) const {
    return Run(storage, num_threads).status();
  }

  // The calls of a save that nothing disturbs.
  std::vector<io::Call> Calls() const {
    const auto memory = Fresh();
    const auto disk = DiskOn(*memory);
    EXPECT_TRUE(SaveNew(*disk).ok());
    EXPECT_TRUE(ExpectHolds(memory, "d/x", new_).ok());
    return disk->log();
  }

  TestTensors old_;
  TestTensors new_;
};

INSTANTIATE_TEST_SUITE_P(Disks, SaveFaultTest, ::testing::ValuesIn(kDisks),
                         [](const auto& kind) { return std::string(kind.param.name); });

// Every file of the directory, by name.
std::map<std::string, std::string> Contents(io::Storage& storage) {
  std::map<std::string, std::string> contents;
  for (const std::string& name : ListSorted(storage, "d")) {
    contents[name] = ReadFile(storage, "d/" + name);
  }
  return contents;
}

// Whether a failed call still lets the save count: it came after the commit.
bool IsCleanUp(const io::Call& call) { return call.operation == Operation::kRemove; }

// Whether the new index had been renamed into place, so that only its durability is open.
bool IsCommitted(const std::vector<io::Call>& calls, size_t failed) {
  const auto renames =
      std::count_if(calls.begin(), calls.begin() + static_cast<ptrdiff_t>(failed),
                    [](const io::Call& call) { return call.operation == Operation::kRename; });
  return renames == 3 && calls[failed].operation == Operation::kSyncDirectory;
}

// An error of fsync(2) is final: the kernel may have dropped what it could not write.
void ExpectEachFileSyncedOnce(const FaultyStorage& disk) {
  std::map<std::string, int> syncs;
  for (const io::Call& call : disk.log()) {
    if (call.operation == Operation::kSync) ++syncs[call.path];
  }
  for (const auto& [path, count] : syncs) EXPECT_EQ(count, 1) << path;
}

// Operation, path and errno, in the status and in what a user reads.
void ExpectTold(const Status& status, const io::Call& call, int error) {
  EXPECT_EQ(status.code(), Code::kSystem);
  EXPECT_EQ(status.error_number(), error);
  EXPECT_NE(status.message().find(io::OperationName(call.operation)), std::string::npos)
      << status.ToString();
  if (call.path.empty()) {  // a ring serves many files
    EXPECT_TRUE(status.path().starts_with("d/")) << status.ToString();
  } else {
    EXPECT_EQ(status.path(), call.path);
  }
  EXPECT_NE(status.ToString().find(status.path()), std::string::npos);
}

TEST_P(SaveFaultTest, TheDiskUnderTestIsUsed) {
  const auto memory = Fresh();
  const auto disk = DiskOn(*memory);
  const auto report = Run(*disk);
  ASSERT_TRUE(report.ok());
  EXPECT_GT(report->zero_copy_bytes, 0u);
  EXPECT_EQ(report->staged_bytes > 0, GetParam().device.granule != io::Granule());
  EXPECT_GT(disk->calls(Operation::kWrite), 8u) << "several per file";
  EXPECT_EQ(disk->calls(Operation::kSubmit) > 8, GetParam().device.is_asynchronous);
}

TEST_P(SaveFaultTest, WhicheverCallFailsTheOldBundleIsThereAndNothingElse) {
  const std::vector<io::Call> calls = Calls();
  for (size_t k = 0; k < calls.size(); ++k) {
    // EINVAL: O_DIRECT refused after all.
    for (const int error : {EIO, ENOSPC, EDQUOT, EINVAL}) {
      SCOPED_TRACE(std::string(io::OperationName(calls[k].operation)) + " of " +
                   calls[k].path + ", call " + std::to_string(k + 1));
      const auto memory = Fresh();
      const auto before = Contents(*memory);
      const auto disk = DiskOn(*memory);
      disk->FailCall({.operation = {}, .nth = k + 1, .error_number = error});
      const Status status = SaveNew(*disk);
      ExpectEachFileSyncedOnce(*disk);
      if (IsCleanUp(calls[k])) {
        EXPECT_TRUE(status.ok());
        EXPECT_TRUE(ExpectHolds(memory, "d/x", new_).ok());
        continue;
      }
      // Of this run's own log: the names of temporary files are new every time.
      ExpectTold(status, disk->log()[k], error);
      if (IsCommitted(calls, k)) {
        EXPECT_TRUE(ExpectHolds(memory, "d/x", new_).ok());
      } else {
        EXPECT_TRUE(Contents(*memory) == before);
        EXPECT_TRUE(ExpectHolds(memory, "d/x", old_).ok());
      }
    }
  }
}

TEST_P(SaveFaultTest, WithThreadsAFaultAnywhereLeavesOneWholeBundleToo) {
  const uint64_t num_calls = Calls().size();
  for (uint64_t k = 1; k <= num_calls; ++k) {
    SCOPED_TRACE("call " + std::to_string(k));
    const auto memory = Fresh();
    const auto before = Contents(*memory);
    const auto disk = DiskOn(*memory);
    disk->FailCall({.operation = {}, .nth = k, .error_number = ENOSPC});
    const Status status = SaveNew(*disk, 4);
    ExpectEachFileSyncedOnce(*disk);
    if (!status.ok()) {
      EXPECT_EQ(status.error_number(), ENOSPC);
    }
    const bool is_new = ExpectHolds(memory, "d/x", new_).ok();
    EXPECT_TRUE(is_new || Contents(*memory) == before);
    EXPECT_TRUE(is_new || !status.ok());
  }
}

TEST_P(SaveFaultTest, AWriteThatTakesNothingFailsTheSave) {
  if (!GetParam().device.is_asynchronous) GTEST_SKIP() << "posix_file's, where it is tested";
  Device device = GetParam().device;
  for (device.nothing_at = 1; device.nothing_at < 10; ++device.nothing_at) {
    const auto memory = Fresh();
    const auto before = Contents(*memory);
    FaultyStorage disk(*memory);
    disk.ActAsDevice(device);
    const Status status = SaveNew(disk);
    EXPECT_EQ(status.error_number(), EIO) << status.ToString();
    EXPECT_NE(status.message().find("took no bytes"), std::string::npos);
    EXPECT_TRUE(status.path().starts_with("d/"));
    EXPECT_TRUE(Contents(*memory) == before);
  }
}

TEST_P(SaveFaultTest, AFailedSyncIsNeverTriedAgain) {
  const auto memory = Fresh();
  const auto disk = DiskOn(*memory);
  disk->FailCall({.operation = Operation::kSync, .nth = 1, .error_number = EIO});
  EXPECT_EQ(SaveNew(*disk).error_number(), EIO);
  EXPECT_EQ(disk->calls(Operation::kSync), 1u);
}

TEST_P(SaveFaultTest, WhateverASaveLeavesWhenItDiesTheNextOneSucceeds) {
  const uint64_t num_calls = Calls().size();
  for (uint64_t k = 1; k <= num_calls; ++k) {
    const auto memory = Fresh();
    const auto dying = DiskOn(*memory);
    // As after kill -9: no clean-up either.
    dying->FailCall({.operation = {}, .nth = k, .error_number = EIO, .for_ever = true});
    static_cast<void>(SaveNew(*dying));
    const bool old_holds = ExpectHolds(memory, "d/x", old_).ok();
    const bool new_holds = ExpectHolds(memory, "d/x", new_).ok();
    EXPECT_TRUE(old_holds || new_holds) << "died at call " << k;
    ASSERT_TRUE(SaveNew(*memory).ok()) << "died at call " << k;
    EXPECT_TRUE(ExpectHolds(memory, "d/x", new_).ok());
    EXPECT_EQ(ListSorted(*memory, "d").size(), 3u) << "died at call " << k;
  }
}

}  // namespace
}  // namespace tensorbundle::engine
