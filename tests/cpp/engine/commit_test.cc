#include "engine/commit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/tensors.h"
#include "format/naming.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

using io::Operation;

// What a save of one shard asked of the storage, as "operation name", with the random
// part of temporary names cut off.
std::vector<std::string> Steps(const io::FaultyStorage& storage) {
  const auto shorten = [](const std::string& path) {
    const std::string name = io::BaseNameOf(path);
    const size_t id = name.find(".tmp.");
    return id == std::string::npos ? name : name.substr(0, id + 4);
  };
  std::vector<std::string> steps;
  for (const io::Call& call : storage.log()) {
    std::string step =
        std::string(io::OperationName(call.operation)) + " " + shorten(call.path);
    if (!call.destination.empty()) step += " -> " + shorten(call.destination);
    steps.push_back(step);
  }
  return steps;
}

TEST(CommitTest, TheStepsAreThoseOfTheProtocolInTheirOrder) {
  const auto memory = io::MakeMemoryStorage();
  ASSERT_TRUE(memory->MakeDirectory("d").ok());
  ASSERT_TRUE((*memory->Create("d/x.data-00000-of-00001"))->Close().ok());
  io::FaultyStorage storage(*memory);
  TestTensors tensors;
  tensors.Add("w", 100);
  ASSERT_TRUE(Save(storage, "d/x", tensors.views(), {}).ok());
  const std::vector<std::string> expected = {
      "exists d",
      "lock .x.tensorbundle-lock",
      "list d",
      "create .x.data-00000-of-00002.tmp",
      "allocate .x.data-00000-of-00002.tmp",
      "write .x.data-00000-of-00002.tmp",
      "truncate .x.data-00000-of-00002.tmp",
      "sync .x.data-00000-of-00002.tmp",
      "close .x.data-00000-of-00002.tmp",
      "rename .x.data-00000-of-00002.tmp -> x.data-00000-of-00002",
      "sync_directory d",
      "create .x.index.tmp",
      "write .x.index.tmp",
      "sync .x.index.tmp",
      "close .x.index.tmp",
      "rename .x.index.tmp -> x.index",
      "sync_directory d",
      "remove x.data-00000-of-00001",
  };
  EXPECT_EQ(Steps(storage), expected);
}

TEST(CommitTest, ANewDirectoryIsSyncedInItsParentToo) {
  const auto memory = io::MakeMemoryStorage();
  io::FaultyStorage storage(*memory);
  ASSERT_TRUE(Save(storage, "new/x", {}, {}).ok());
  const auto steps = Steps(storage);
  EXPECT_EQ(steps[1], "make_directory new");
  EXPECT_EQ(steps[2], "sync_directory .");
}

// A save that was killed may have made it, and not come as far as to sync its name.
TEST(CommitTest, AnEmptyDirectoryIsSyncedInItsParentAsIfItWereNew) {
  const auto memory = io::MakeMemoryStorage();
  ASSERT_TRUE(memory->MakeDirectory("a").ok());
  ASSERT_TRUE(memory->MakeDirectory("a/empty").ok());
  io::FaultyStorage storage(*memory);
  ASSERT_TRUE(Save(storage, "a/empty/x", {}, {}).ok());
  const auto is_of_parent = [](const std::string& step) { return step == "sync_directory a"; };
  auto steps = Steps(storage);
  EXPECT_EQ(std::count_if(steps.begin(), steps.end(), is_of_parent), 1);
  ASSERT_TRUE(Save(storage, "a/empty/y", {}, {}).ok());
  steps = Steps(storage);
  EXPECT_EQ(std::count_if(steps.begin(), steps.end(), is_of_parent), 1) << "not empty";
}

TEST(CommitTest, AParentThatMayNotBeReadIsNoReasonToRefuse) {
  const auto memory = io::MakeMemoryStorage();
  ASSERT_TRUE(memory->MakeDirectory("empty").ok());
  for (const auto& [error, is_refused] : {std::pair{EACCES, false}, std::pair{EIO, true}}) {
    io::FaultyStorage storage(*memory);
    storage.FailCall(
        {.operation = Operation::kSyncDirectory, .nth = 1, .error_number = error});
    EXPECT_EQ(Publication::Begin(storage, "empty/x", 1, Durability::kFull).ok(), !is_refused);
  }
}

TEST(CommitTest, WithoutDurabilityNothingIsSynced) {
  const auto memory = io::MakeMemoryStorage();
  io::FaultyStorage storage(*memory);
  TestTensors tensors;
  tensors.Add("w", 100);
  SaveOptions options;
  options.durability = Durability::kNone;
  ASSERT_TRUE(Save(storage, "new/x", tensors.views(), options).ok());
  EXPECT_EQ(storage.calls(Operation::kSync), 0u);
  EXPECT_EQ(storage.calls(Operation::kSyncDirectory), 0u);
  EXPECT_EQ(storage.calls(Operation::kRename), 2u);
}

TEST(CommitTest, AFreeCountIsFoundAmongSeveralTaken) {
  const auto storage = io::MakeMemoryStorage();
  for (const char* taken : {"x.data-00000-of-00001", "x.data-00001-of-00002"}) {
    ASSERT_TRUE((*storage->Create(taken))->Close().ok());
  }
  const auto publication = Publication::Begin(*storage, "x", 1, Durability::kFull);
  ASSERT_TRUE(publication.ok());
  EXPECT_EQ((*publication)->num_shards(), 3u);
}

TEST(CommitTest, AnAbandonedPublicationLeavesNothing) {
  const auto storage = io::MakeMemoryStorage();
  {
    const auto publication = Publication::Begin(*storage, "d/x", 1, Durability::kFull);
    ASSERT_TRUE(publication.ok());
    ASSERT_TRUE((*publication)->CreateShard(0).ok());
    ASSERT_TRUE((*publication)->PublishShards().ok());
    const auto stop = [](IndexWriter&) { return Status(Code::kCancelled, "half-way"); };
    EXPECT_EQ((*publication)->WriteIndex(stop).status().code(), Code::kCancelled);
  }
  EXPECT_TRUE(ListSorted(*storage, ".").empty());
}

}  // namespace
}  // namespace tensorbundle::engine
