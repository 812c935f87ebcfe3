#include "engine/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <new>
#include <set>
#include <thread>
#include <vector>

namespace tensorbundle::engine {
namespace {

constexpr uint64_t kManyBytes = 1u << 30;  // more than runs on the calling thread

RunOptions Threads(size_t num_threads, Observer* observer = nullptr) {
  return {num_threads, kManyBytes, observer};
}

// Says stop from the n-th poll on; remembers the thread that polled.
class StopAt final : public Observer {
 public:
  explicit StopAt(int n) : left_(n) {}
  bool Poll(uint64_t done, uint64_t total) override {
    EXPECT_LE(done, total);
    EXPECT_EQ(std::this_thread::get_id(), caller_);
    ++polls;
    return --left_ > 0;
  }
  int polls = 0;

 private:
  int left_;
  const std::thread::id caller_ = std::this_thread::get_id();
};

TEST(ThreadPoolTest, EveryJobRunsOnce) {
  for (const size_t num_threads : {1, 2, 7}) {
    std::vector<std::atomic<int>> runs(1000);
    const Status status = RunJobs(
        runs.size(),
        [&](size_t i, JobContext& context) {
          EXPECT_LT(context.worker(), num_threads);
          ++runs[i];
          return Status();
        },
        Threads(num_threads));
    EXPECT_TRUE(status.ok());
    for (const auto& count : runs) EXPECT_EQ(count, 1);
  }
}

TEST(ThreadPoolTest, NoJobsAreDoneAtOnce) {
  EXPECT_TRUE(RunJobs(0, [](size_t, JobContext&) { return Status(); }, Threads(4)).ok());
}

TEST(ThreadPoolTest, ASmallRunStaysOnTheCallingThread) {
  const auto caller = std::this_thread::get_id();
  const Status status = RunJobs(3,
                                [&](size_t, JobContext&) {
                                  EXPECT_EQ(std::this_thread::get_id(), caller);
                                  return Status();
                                },
                                {4, 1000, nullptr});
  EXPECT_TRUE(status.ok());
}

TEST(ThreadPoolTest, TheFirstFailureIsReturnedAndStopsTheRun) {
  std::atomic<size_t> started = 0;
  const Status status = RunJobs(
      1'000'000,
      [&](size_t i, JobContext&) {
        ++started;
        return i == 5 ? Status(Code::kBadBlock, "five") : Status();
      },
      Threads(2));
  EXPECT_EQ(status.message(), "five");
  EXPECT_LT(started, 1'000'000u);
}

TEST(ThreadPoolTest, AnObserverThatSaysNoCancelsARunOfEitherKind) {
  for (const uint64_t bytes : {uint64_t{10}, kManyBytes}) {
    StopAt observer(1);
    std::atomic<bool> cancelled_inside = false;
    const Status status = RunJobs(2,
                                  [&](size_t, JobContext& context) {
                                    // A long job: it ends only when it is told to.
                                    while (context.CheckStopped().ok())
                                      std::this_thread::yield();
                                    cancelled_inside = true;
                                    return context.CheckStopped();
                                  },
                                  {1, bytes, &observer});
    EXPECT_EQ(status.code(), Code::kCancelled);
    EXPECT_EQ(cancelled_inside, bytes == kManyBytes);
  }
}

TEST(ThreadPoolTest, TheObserverIsPolledOnTheCallingThread) {
  StopAt observer(1'000'000);
  EXPECT_TRUE(
      RunJobs(100, [](size_t, JobContext&) { return Status(); }, Threads(4, &observer)).ok());
  EXPECT_GE(observer.polls, 1);
}

TEST(ThreadPoolTest, WorkersBlockSignalsAndTheCallerKeepsItsMask) {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const Status status = RunJobs(
      4,
      [](size_t, JobContext&) {
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        EXPECT_TRUE(sigismember(&mask, SIGINT));
        return Status();
      },
      Threads(2));
  EXPECT_TRUE(status.ok());
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
  EXPECT_FALSE(sigismember(&after, SIGINT));
}

TEST(ThreadPoolTest, WhereNoThreadCanStartTheCallerDoesTheWork) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a limit on address space is too much for a sanitizer";
#else
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit tight = before;
  std::ifstream statm("/proc/self/statm");
  statm >> tight.rlim_cur;  // pages
  tight.rlim_cur *= static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);  // no room for a thread's stack
  std::atomic<int> runs = 0;
  const Status status = RunJobs(
      10,
      [&](size_t, JobContext&) {
        ++runs;
        return Status();
      },
      Threads(4));
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(runs, 10);
#endif
}

TEST(ThreadPoolTest, MemoryThatRunsOutInAJobIsAnError) {
  const Status status =
      RunJobs(4, [](size_t, JobContext&) -> Status { throw std::bad_alloc(); }, Threads(2));
  EXPECT_EQ(status.error_number(), ENOMEM);
}

TEST(ThreadPoolTest, TheDefaultIsAtLeastOneThread) { EXPECT_GE(DefaultNumThreads(), 1u); }

}  // namespace
}  // namespace tensorbundle::engine
