// What only processes can show of a lock.

#include "io/posix_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "io/posix_storage.h"
#include "io/storage_fixture.h"
#include "io/temp_directory.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {
namespace {

class PosixLockTest : public ::testing::Test {
 protected:
  bool LockFileExists() const { return ::access(path_.c_str(), F_OK) == 0; }

  TempDirectory directory_;
  const std::string path_ = directory_.Path("l");
};

// A forked child that runs `body` and ends with its answer.
pid_t Fork(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  return child;
}

int Wait(pid_t child) {
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

int CodeOfTryLock(const std::string& path) {
  return static_cast<int>(TryLockFile(path).status().code());
}

TEST_F(PosixLockTest, AnotherProcessIsRefusedWhileTheLockIsHeldAndNotAfter) {
  auto held = TryLockFile(path_);
  ASSERT_OK(held.status());
  EXPECT_EQ(Wait(Fork([&] { return CodeOfTryLock(path_); })), static_cast<int>(Code::kLocked));
  held->reset();
  EXPECT_EQ(Wait(Fork([&] { return CodeOfTryLock(path_); })), 0);
}

TEST_F(PosixLockTest, ADescriptorInheritedByAChildDoesNotKeepTheLock) {
  auto held = TryLockFile(path_);
  ASSERT_OK(held.status());
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const pid_t child = Fork([&] {
    ::close(pipe_ends[1]);
    char end = 0;
    return static_cast<int>(::read(pipe_ends[0], &end, 1));  // until the parent closes
  });
  held->reset();
  EXPECT_FALSE(LockFileExists());
  // On the very file too: whoever had it open meanwhile is not kept out for ever.
  EXPECT_OK(TryLockFile(path_).status());
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_EQ(Wait(child), 0);
}

TEST_F(PosixLockTest, ReleaseUnlocksTheOpenFileItself) {
  auto held = TryLockFile(path_);
  ASSERT_OK(held.status());
  const UniqueFd waiting(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  const pid_t child = Fork([&] {
    ::close(pipe_ends[1]);
    char end = 0;
    return static_cast<int>(::read(pipe_ends[0], &end, 1));
  });
  EXPECT_NE(::flock(waiting.get(), LOCK_EX | LOCK_NB), 0);
  held->reset();
  EXPECT_EQ(::flock(waiting.get(), LOCK_EX | LOCK_NB), 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_EQ(Wait(child), 0);
}

TEST_F(PosixLockTest, AForkedChildThatDestroysItsCopyGivesNothingBack) {
  auto held = TryLockFile(path_);
  ASSERT_OK(held.status());
  EXPECT_EQ(Wait(Fork([&] {
              held->reset();
              return 0;
            })),
            0);
  EXPECT_TRUE(LockFileExists());
  ExpectCode(TryLockFile(path_).status(), Code::kLocked, path_);
}

TEST_F(PosixLockTest, TheLockOfAKilledProcessIsFree) {
  const pid_t child = Fork([&]() -> int {
    const auto held = TryLockFile(path_);
    ::_exit(held.ok() ? 0 : 1);  // no destructor runs
  });
  EXPECT_EQ(Wait(child), 0);
  EXPECT_TRUE(LockFileExists());
  EXPECT_OK(TryLockFile(path_).status());
  EXPECT_FALSE(LockFileExists());
}

TEST_F(PosixLockTest, TheFileTheNameNowStandsForIsLocked) {
  // Somebody removes the name of a held lock: the lock is then on a file that no
  // newcomer can find, and the newcomer gets a lock of its own.
  auto first = TryLockFile(path_);
  ASSERT_OK(first.status());
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  auto second = TryLockFile(path_);
  ASSERT_OK(second.status());
  first->reset();
  EXPECT_TRUE(LockFileExists()) << "the first removed the file of the second";
  ExpectCode(TryLockFile(path_).status(), Code::kLocked, path_);
}

TEST_F(PosixLockTest, WhatIsNotAFileIsNeitherLockedNorRemoved) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  ExpectCode(TryLockFile(path_).status(), Code::kNotRegularFile, path_);
  EXPECT_TRUE(LockFileExists());
  const std::string link = directory_.Path("link");
  ASSERT_EQ(::symlink(path_.c_str(), link.c_str()), 0);
  ExpectSystemError(TryLockFile(link).status(), ELOOP, link);
}

}  // namespace
}  // namespace tensorbundle::io
