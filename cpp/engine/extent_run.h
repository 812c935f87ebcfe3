// Runs the writes of a save, or of a piece of one, on threads that each have a queue and
// staging memory of their own.
//
// Threads: a RunExtents() is called on one thread and starts its own.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/status.h"
#include "engine/extent_writer.h"
#include "engine/thread_pool.h"
#include "engine/writer.h"
#include "io/storage.h"

namespace tensorbundle::engine {

// Threads that write: the number asked for, as far as the staging memory goes round.
size_t NumWriteThreads(const SaveOptions& options);

using ExtentJob =
    std::function<Status(size_t job, const WriteResources& resources, JobContext& context)>;

struct ExtentRun {
  size_t num_threads = 1;
  size_t num_jobs = 0;
  uint64_t total_bytes = 0;  // for the observer
};

// Adds to report.stages, and tells report.queue_reason.
//
// Errors: kCancelled, whatever a job returns
Status RunExtents(io::Storage& storage, const ExtentRun& run, const SaveOptions& options,
                  const ExtentJob& job, SaveReport& report);

}  // namespace tensorbundle::engine
