#include "engine/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace tensorbundle::engine {
namespace {

// How often the calling thread asks its observer: often enough for a prompt
// Ctrl-C and a smooth progress bar, seldom enough to cost nothing.
constexpr std::chrono::milliseconds kPollInterval(50);

// Below this many bytes a run is done sooner than threads are started (about
// 50 us each); also keeps single small reads free of threads.
constexpr uint64_t kInlineBytes = 1u << 20;

Status Cancelled() { return Status(Code::kCancelled, "stopped by the caller"); }

// All signals are blocked while it lives, so that threads started then inherit
// the mask and the calling thread gets every signal.
class ScopedSignalBlock {
 public:
  ScopedSignalBlock() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
  }
  ScopedSignalBlock(const ScopedSignalBlock&) = delete;
  ScopedSignalBlock& operator=(const ScopedSignalBlock&) = delete;
  ~ScopedSignalBlock() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }

 private:
  sigset_t saved_;
};

// One run: what the workers share.
class Run {
 public:
  Run(size_t num_jobs, const Job& job, const RunOptions& options)
      : num_jobs_(num_jobs), job_(job), options_(options) {}

  Status OnThisThread() {
    JobContext context(0, stop_, done_);
    for (size_t i = 0; i < num_jobs_; ++i) {
      if (!Poll()) return Cancelled();
      TB_RETURN_IF_ERROR(job_(i, context));
    }
    return Poll() ? Status() : Cancelled();
  }

  Status OnThreads(size_t num_threads) {
    std::vector<std::thread> threads;
    threads.reserve(num_threads);
    if (!StartThreads(num_threads, threads)) return OnThisThread();
    WaitAndPoll();
    for (std::thread& thread : threads) thread.join();
    if (status_.ok() && !Poll()) return Cancelled();
    return std::move(status_);
  }

 private:
  bool Poll() {
    return options_.observer == nullptr ||
           options_.observer->Poll(done_.load(std::memory_order_relaxed),
                                   options_.total_bytes);
  }

  // As many as the system allows: a limit on threads makes a run slower, not impossible.
  // False where there is none at all.
  bool StartThreads(size_t num_threads, std::vector<std::thread>& threads) {
    const ScopedSignalBlock block;
    for (size_t i = 0; i < num_threads; ++i) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        ++running_;
      }
      try {
        threads.emplace_back([this, i] { Work(i); });
      } catch (const std::system_error&) {  // how std::thread tells EAGAIN
        const std::lock_guard<std::mutex> lock(mutex_);
        --running_;
        break;
      }
    }
    return !threads.empty();
  }

  // Memory may run out in a job as anywhere; a thread that lets that escape would end
  // the process.
  Status RunJob(size_t index, JobContext& context) {
    try {
      return job_(index, context);
    } catch (const std::bad_alloc&) {
      return Status::System(ENOMEM, "allocate memory", "");
    }
  }

  void Work(size_t worker) {
    JobContext context(worker, stop_, done_);
    for (;;) {
      const size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= num_jobs_ || stop_.load(std::memory_order_relaxed)) break;
      Status status = RunJob(index, context);
      if (!status.ok()) Fail(std::move(status));
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--running_ == 0) finished_.notify_one();
  }

  void Fail(Status status) {
    stop_.store(true, std::memory_order_relaxed);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status_.ok()) status_ = std::move(status);
  }

  void WaitAndPoll() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (running_ != 0) {
      finished_.wait_for(lock, kPollInterval, [this] { return running_ == 0; });
      if (running_ == 0 || stop_.load(std::memory_order_relaxed)) continue;
      lock.unlock();
      const bool go_on = Poll();
      if (!go_on) Fail(Cancelled());
      lock.lock();
    }
  }

  const size_t num_jobs_;
  const Job& job_;
  const RunOptions& options_;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> done_ = 0;
  std::mutex mutex_;
  std::condition_variable finished_;
  size_t running_ = 0;  // guarded by mutex_
  Status status_;       // guarded by mutex_: the first failure
};

}  // namespace

Status JobContext::CheckStopped() const {
  return stop_.load(std::memory_order_relaxed) ? Cancelled() : Status();
}

Status RunJobs(size_t num_jobs, const Job& job, const RunOptions& options) {
  Run run(num_jobs, job, options);
  const size_t num_threads = std::min(options.num_threads, num_jobs);
  if (num_threads == 0 || options.total_bytes <= kInlineBytes) return run.OnThisThread();
  // One thread is started too when only one is wanted: the calling thread polls.
  return run.OnThreads(num_threads);
}

size_t DefaultNumThreads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) {
    return std::max<size_t>(1, std::thread::hardware_concurrency());
  }
  return std::max<size_t>(1, static_cast<size_t>(CPU_COUNT(&set)));
}

}  // namespace tensorbundle::engine
