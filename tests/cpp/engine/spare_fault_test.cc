// Saves that write into replaced files, and whose k-th call fails, for every k.

#include <gtest/gtest.h>

#include <cerrno>
#include <map>

#include "engine/spare_files.h"
#include "engine/tensors.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

using io::Device;
using io::FaultyStorage;

constexpr io::Granule kGranule = {512, 512};

struct DiskKind {
  const char* name;
  Device device;
};

constexpr DiskKind kDisks[] = {
    {"Buffered", {}},
    {"Direct", {kGranule, false, false, 0}},
    {"Ring", {kGranule, true, false, 0}},
};

struct FiveTensors : TestTensors {
  explicit FiveTensors(unsigned seed) : TestTensors(seed) {
    for (int i = 0; i < 5; ++i) Add("t" + std::to_string(i), 70'000);
  }
};

// A directory with a bundle, and the files of the one before it.
struct Scene {
  std::shared_ptr<io::Storage> storage = io::MakeMemoryStorage();
  SpareFiles spares{storage};
};

class SpareFaultTest : public ::testing::TestWithParam<DiskKind> {
 protected:
  std::unique_ptr<Scene> Fresh() const {
    auto scene = std::make_unique<Scene>();
    EXPECT_TRUE(SaveTo(*scene->storage, *scene, other_).ok());
    EXPECT_TRUE(SaveTo(*scene->storage, *scene, old_).ok());
    EXPECT_EQ(ListSorted(*scene->storage, "d").size(), 3u + 2u);
    return scene;
  }

  Result<SaveReport> SaveTo(io::Storage& disk, Scene& scene,
                            const TestTensors& tensors) const {
    SaveOptions options;
    options.num_shards = 2;
    options.num_threads = 1;  // the k-th call is the same every time
    options.transfer.block_size = 64u << 10;
    options.spares = &scene.spares;
    options.memory_granule = GetParam().device.granule.memory;
    options.direct = options.memory_granule > 1;
    return Save(disk, "d/x", tensors.views(), options);
  }

  std::unique_ptr<FaultyStorage> DiskOn(Scene& scene) const {
    auto disk = std::make_unique<FaultyStorage>(*scene.storage);
    if (GetParam().device.granule != io::Granule()) disk->ActAsDevice(GetParam().device);
    return disk;
  }

  std::vector<io::Call> Calls() const {
    const auto scene = Fresh();
    const auto disk = DiskOn(*scene);
    const auto report = SaveTo(*disk, *scene, new_);
    EXPECT_TRUE(report.ok());
    EXPECT_GE(report->recycled_bytes, 350'000u) << "both files are written anew";
    return disk->log();
  }

  const FiveTensors other_{1}, old_{2}, new_{3}, next_{4};
};

INSTANTIATE_TEST_SUITE_P(Disks, SpareFaultTest, ::testing::ValuesIn(kDisks),
                         [](const auto& kind) { return std::string(kind.param.name); });

// Every file of the directory that is not hidden, by name.
std::map<std::string, std::string> Visible(io::Storage& storage) {
  std::map<std::string, std::string> contents;
  for (const std::string& name : ListSorted(storage, "d")) {
    if (name[0] != '.') contents[name] = ReadFile(storage, "d/" + name);
  }
  return contents;
}

TEST_P(SpareFaultTest, WhicheverCallFailsAWholeBundleIsThereAndNoLitter) {
  const std::vector<io::Call> calls = Calls();
  size_t survived = 0;
  for (size_t k = 0; k < calls.size(); ++k) {
    SCOPED_TRACE(std::string(io::OperationName(calls[k].operation)) + " of " + calls[k].path +
                 ", call " + std::to_string(k + 1));
    const auto scene = Fresh();
    const auto before = Visible(*scene->storage);
    const auto disk = DiskOn(*scene);
    disk->FailCall({.operation = {}, .nth = k + 1, .error_number = EIO});
    const Status status = SaveTo(*disk, *scene, new_).status();
    survived += status.ok();
    const bool holds_new = ExpectHolds(scene->storage, "d/x", new_).ok();
    const bool committed = calls[k].operation == io::Operation::kSyncDirectory;
    EXPECT_TRUE(holds_new || Visible(*scene->storage) == before);
    EXPECT_TRUE(status.ok() ? holds_new : !holds_new || committed);
    if (!status.ok() || calls[k].operation != io::Operation::kRemove) {
      for (const std::string& name : ListSorted(*scene->storage, "d")) {
        EXPECT_TRUE(name[0] != '.' || scene->spares.Has("d/" + name)) << name;
      }
    }
    ASSERT_TRUE(SaveTo(*scene->storage, *scene, next_).ok());
    EXPECT_TRUE(ExpectHolds(scene->storage, "d/x", next_).ok());
    scene->spares.Clear();
    EXPECT_EQ(ListSorted(*scene->storage, "d").size(), 3u);
  }
  EXPECT_GE(survived, 8u) << "of each file: moved, opened, kept";
}

TEST_P(SpareFaultTest, WhateverASaveLeavesWhenItDiesTheNextProcessSweeps) {
  const uint64_t num_calls = Calls().size();
  for (uint64_t k = 1; k <= num_calls; ++k) {
    SCOPED_TRACE("died at call " + std::to_string(k));
    const auto scene = Fresh();
    const auto dying = DiskOn(*scene);
    dying->FailCall({.operation = {}, .nth = k, .error_number = EIO, .for_ever = true});
    static_cast<void>(SaveTo(*dying, *scene, new_));
    const bool old_holds = ExpectHolds(scene->storage, "d/x", old_).ok();
    EXPECT_TRUE(old_holds || ExpectHolds(scene->storage, "d/x", new_).ok());
    ASSERT_TRUE(Save(*scene->storage, "d/x", next_.views(), {}).ok());
    EXPECT_TRUE(ExpectHolds(scene->storage, "d/x", next_).ok());
    EXPECT_EQ(ListSorted(*scene->storage, "d").size(), 2u);
  }
}

}  // namespace
}  // namespace tensorbundle::engine
