// A save whose k-th call fails, for every k: the old bundle loads, nothing is left.

#include <gtest/gtest.h>

#include <cerrno>

#include "engine/tensors.h"
#include "io/faulty_storage.h"

namespace tensorbundle::engine {
namespace {

using io::FaultyStorage;
using io::Operation;
using Names = std::vector<std::string>;

class SaveFaultTest : public ::testing::Test {
 protected:
  SaveFaultTest() : old_(1), new_(2) {
    for (int i = 0; i < 5; ++i) {
      old_.Add("t" + std::to_string(i), 3000);
      new_.Add("t" + std::to_string(i), 70'000);
    }
  }

  // A storage with the old bundle in it.
  std::shared_ptr<io::Storage> Fresh() const {
    std::shared_ptr<io::Storage> storage = io::MakeMemoryStorage();
    EXPECT_TRUE(Save(*storage, "d/x", old_.views(), {}).ok());
    return storage;
  }

  Status SaveNew(io::Storage& storage) const {
    SaveOptions options;
    options.num_shards = 2;
    options.num_threads = 1;  // so that the k-th call is the same call every time
    return Save(storage, "d/x", new_.views(), options).status();
  }

  TestTensors old_;
  TestTensors new_;
};

// Whether a failed call still lets the save count: it came after the commit.
bool IsCleanUp(const io::Call& call) { return call.operation == Operation::kRemove; }

TEST_F(SaveFaultTest, WhicheverCallFailsTheOldBundleLoadsAndNothingIsLeft) {
  auto memory = Fresh();
  FaultyStorage counting(*memory);
  ASSERT_TRUE(SaveNew(counting).ok());
  const std::vector<io::Call> calls = counting.log();
  for (uint64_t k = 1; k <= calls.size(); ++k) {
    for (const int error : {EIO, ENOSPC, EDQUOT}) {
      SCOPED_TRACE(std::string(io::OperationName(calls[k - 1].operation)) + " of " +
                   calls[k - 1].path);
      memory = Fresh();
      FaultyStorage faulty(*memory);
      faulty.FailCall({.operation = {}, .nth = k, .error_number = error, .for_ever = false});
      const Status status = SaveNew(faulty);
      if (IsCleanUp(calls[k - 1])) {
        EXPECT_TRUE(status.ok());
        EXPECT_TRUE(ExpectHolds(memory, "d/x", new_).ok());
        continue;
      }
      EXPECT_EQ(status.error_number(), error);
      EXPECT_FALSE(status.path().empty());
      EXPECT_FALSE(status.message().empty());
      const bool committed = faulty.calls(Operation::kRename) == 3 &&
                             calls[k - 1].operation == Operation::kSyncDirectory;
      EXPECT_TRUE(ExpectHolds(memory, "d/x", committed ? new_ : old_).ok());
      if (!committed) {
        EXPECT_EQ(ListSorted(*memory, "d"), (Names{"x.data-00000-of-00001", "x.index"}));
      }
    }
  }
}

TEST_F(SaveFaultTest, AFailedSyncIsNeverTriedAgain) {
  const auto memory = Fresh();
  FaultyStorage faulty(*memory);
  faulty.FailCall(
      {.operation = Operation::kSync, .nth = 1, .error_number = EIO, .for_ever = false});
  EXPECT_EQ(SaveNew(faulty).error_number(), EIO);
  EXPECT_EQ(faulty.calls(Operation::kSync), 1u);
}

TEST_F(SaveFaultTest, WhateverASaveLeavesWhenItDiesTheNextOneSucceeds) {
  auto memory = Fresh();
  FaultyStorage counting(*memory);
  ASSERT_TRUE(SaveNew(counting).ok());
  const uint64_t num_calls = counting.calls();
  for (uint64_t k = 1; k <= num_calls; ++k) {
    memory = Fresh();
    FaultyStorage dying(*memory);
    dying.FailCall({.operation = {},
                    .nth = k,
                    .error_number = EIO,
                    .for_ever = true});  // as after kill -9: no clean-up either
    static_cast<void>(SaveNew(dying));
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
