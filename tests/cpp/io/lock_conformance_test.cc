// What every Storage promises of locks.

#include <array>
#include <atomic>
#include <cerrno>
#include <thread>

#include "io/storage_fixture.h"

namespace tensorbundle::io {
namespace {

template <typename Kind>
class LockConformanceTest : public StorageFixture<Kind> {
 protected:
  bool NothingIsLeft() {
    const auto names = this->storage().List(this->root());
    return names.ok() && names->empty();
  }
};
TYPED_TEST_SUITE(LockConformanceTest, StorageKinds, StorageKindNames);

TYPED_TEST(LockConformanceTest, ASecondHolderInTheSameProcessIsRefused) {
  const auto held = this->storage().TryLock(this->Path("l"));
  ASSERT_OK(held.status());
  const Status refused = this->storage().TryLock(this->Path("l")).status();
  ExpectCode(refused, Code::kLocked, this->Path("l"));
  EXPECT_EQ(refused.message(), "another save is writing here");
}

TYPED_TEST(LockConformanceTest, AReleasedLockIsFreeAndLeavesNothing) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_OK(this->storage().TryLock(this->Path("l")).status());
    EXPECT_TRUE(this->NothingIsLeft());
  }
}

TYPED_TEST(LockConformanceTest, ARefusedAttemptDoesNotReleaseTheHolder) {
  const auto held = this->storage().TryLock(this->Path("l"));
  ASSERT_OK(held.status());
  for (int attempt = 0; attempt < 3; ++attempt) {
    ExpectCode(this->storage().TryLock(this->Path("l")).status(), Code::kLocked,
               this->Path("l"));
  }
}

TYPED_TEST(LockConformanceTest, LocksOfOtherNamesAreOthers) {
  const auto first = this->storage().TryLock(this->Path("l"));
  const auto second = this->storage().TryLock(this->Path("m"));
  EXPECT_OK(first.status());
  EXPECT_OK(second.status());
}

TYPED_TEST(LockConformanceTest, ALockFileLeftByADeadSaveIsTaken) {
  WriteFile(this->storage(), this->Path("l"), "");
  EXPECT_OK(this->storage().TryLock(this->Path("l")).status());
  EXPECT_TRUE(this->NothingIsLeft());
}

TYPED_TEST(LockConformanceTest, AHolderDoesNotRemoveAFileThatIsNotItsOwn) {
  auto held = this->storage().TryLock(this->Path("l"));
  ASSERT_OK(held.status());
  ASSERT_OK(this->storage().Remove(this->Path("l")));
  WriteFile(this->storage(), this->Path("l"), "another's");
  held->reset();
  EXPECT_EQ(ReadFile(this->storage(), this->Path("l")), "another's");
}

TYPED_TEST(LockConformanceTest, AReleasedLockIsFreeEvenUnderANewName) {
  auto held = this->storage().TryLock(this->Path("l"));
  ASSERT_OK(held.status());
  ASSERT_OK(this->storage().Rename(this->Path("l"), this->Path("m")));
  ExpectCode(this->storage().TryLock(this->Path("m")).status(), Code::kLocked,
             this->Path("m"));
  held->reset();
  EXPECT_OK(this->storage().TryLock(this->Path("m")).status());
}

TYPED_TEST(LockConformanceTest, ALockNeedsItsDirectoryAndAFile) {
  ExpectSystemError(this->storage().TryLock(this->Path("no/l")).status(), ENOENT,
                    this->Path("no/l"));
  ExpectSystemError(this->storage().TryLock(this->root()).status(), EISDIR, this->root());
}

TYPED_TEST(LockConformanceTest, EightThreadsNeverHoldOneLockTogether) {
  std::atomic<int> holders = 0;
  std::atomic<int> most = 0;
  std::atomic<int> taken = 0;
  const auto compete = [&] {
    for (int attempt = 0; attempt < 2000; ++attempt) {
      const auto lock = this->storage().TryLock(this->Path("l"));
      if (!lock.ok()) {
        EXPECT_EQ(CodeName(lock.status().code()), "Locked") << lock.status().ToString();
        continue;
      }
      const int now = ++holders;
      if (now > most) most = now;
      ++taken;
      // On a file that has just lost its name it would keep nobody out.
      const auto exists = this->storage().Exists(this->Path("l"));
      EXPECT_TRUE(exists.ok() && *exists);
      --holders;
    }
  };
  std::array<std::thread, 8> threads;
  for (std::thread& thread : threads) thread = std::thread(compete);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
  EXPECT_GT(taken, 0);
  EXPECT_TRUE(this->NothingIsLeft());
}

}  // namespace
}  // namespace tensorbundle::io
