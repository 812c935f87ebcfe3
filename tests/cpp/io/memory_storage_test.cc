#include "io/memory_storage.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "io/storage_fixture.h"

namespace tensorbundle::io {
namespace {

TEST(MemoryStorageTest, FilesAndLocksOutliveTheirStorage) {
  auto storage = MakeMemoryStorage();
  WriteFile(*storage, "a", "kept");
  auto reader = storage->OpenForRead("a");
  auto writer = storage->Create("b");
  auto lock = storage->TryLock("l");
  ASSERT_OK(reader.status());
  ASSERT_OK(writer.status());
  ASSERT_OK(lock.status());
  storage.reset();
  EXPECT_EQ(Read(**reader, 0, 4), "kept");
  EXPECT_OK((*writer)->WriteAt(0, AsBytes("x")));
  EXPECT_OK((*writer)->Close());
  lock->reset();
}

TEST(MemoryStorageTest, TwoStoragesShareNothing) {
  auto first = MakeMemoryStorage();
  auto second = MakeMemoryStorage();
  WriteFile(*first, "a", "x");
  const auto exists = second->Exists("a");
  ASSERT_OK(exists.status());
  EXPECT_FALSE(*exists);
}

TEST(MemoryStorageTest, TheWorkingDirectoryIsTheRoot) {
  auto storage = MakeMemoryStorage();
  WriteFile(*storage, "a", "x");
  EXPECT_EQ(ReadFile(*storage, "/a"), "x");
  const auto names = storage->List(".");
  ASSERT_OK(names.status());
  EXPECT_EQ(*names, std::vector<std::string>({"a"}));
}

TEST(MemoryStorageTest, AHeldLockIsAFileThatCanBeSeen) {
  auto storage = MakeMemoryStorage();
  const auto lock = storage->TryLock("l");
  ASSERT_OK(lock.status());
  EXPECT_EQ(ReadFile(*storage, "l"), "");
}

TEST(MemoryStorageTest, EightThreadsUseOneStorage) {
  auto storage = MakeMemoryStorage();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&storage, thread] {
      const std::string own = "own" + std::to_string(thread);
      for (int round = 0; round < 50; ++round) {
        WriteFile(*storage, own + ".tmp", own);
        EXPECT_OK(storage->Rename(own + ".tmp", own));
        EXPECT_EQ(ReadFile(*storage, own), own);
        EXPECT_OK(storage->Rename(own, "shared"));
        EXPECT_OK(storage->List("/").status());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto names = storage->List("/");
  ASSERT_OK(names.status());
  EXPECT_EQ(*names, std::vector<std::string>({"shared"}));
}

}  // namespace
}  // namespace tensorbundle::io
