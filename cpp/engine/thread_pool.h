// Runs numbered jobs on a few threads, for the length of one call.
//
// There is no global pool: threads start with the pool and are joined with it, so
// nothing survives a fork and nothing outlives the operation.  Workers block all
// signals; Ctrl-C reaches the calling thread, whose Observer stops the run.
//
// Threads: a ThreadPool belongs to the thread that made it.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/status.h"
#include "engine/observer.h"

namespace tensorbundle::engine {

// What a job may ask and say while it runs.
class JobContext {
 public:
  JobContext(size_t worker, std::atomic<bool>& stop, std::atomic<uint64_t>& done)
      : worker_(worker), stop_(stop), done_(done) {}

  size_t worker() const { return worker_; }  // 0 <= worker < num_threads
  // OK, or kCancelled when the run has been stopped: a long job asks now and then.
  Status CheckStopped() const;
  void AddDone(uint64_t bytes) { done_.fetch_add(bytes, std::memory_order_relaxed); }

 private:
  const size_t worker_;
  std::atomic<bool>& stop_;
  std::atomic<uint64_t>& done_;
};

struct RunOptions {
  size_t num_threads = 1;
  uint64_t total_bytes = 0;      // for the observer; small runs stay on this thread
  Observer* observer = nullptr;  // may be null
};

using Job = std::function<Status(size_t index, JobContext& context)>;

// Runs job(0) to job(num_jobs - 1), in that order but several at a time, and
// returns the first failure.  After a failure no further job is started.
//
// Errors: kCancelled  the observer said stop
//         whatever a job returns
Status RunJobs(size_t num_jobs, const Job& job, const RunOptions& options);

// The number of processors this process may run on, at least 1.
size_t DefaultNumThreads();

}  // namespace tensorbundle::engine
