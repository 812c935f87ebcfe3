#include "engine/extent_run.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/worker.h"
#include "io/aligned_buffer.h"
#include "io/huge_pages.h"

namespace tensorbundle::engine {
namespace {

// One thread waits for the device, or fills its queue, while another checksums.  More
// add nothing: benchmarks/save.py.
constexpr size_t kDirectThreads = 2;

// With the smallest slots they use up the staging budget.
constexpr size_t kMaxWriteThreads = kStagingBudget / kStagingSlots / kMinStagingSlot;

}  // namespace

size_t NumWriteThreads(const SaveOptions& options) {
  const size_t by_default =
      options.direct ? std::max(kDirectThreads, DefaultNumThreads()) : DefaultNumThreads();
  return std::min(options.num_threads != 0 ? options.num_threads : by_default,
                  kMaxWriteThreads);
}

Status RunExtents(io::Storage& storage, const ExtentRun& run, const SaveOptions& options,
                  const ExtentJob& job, SaveReport& report) {
  const size_t num_threads = std::min(run.num_threads, run.num_jobs);
  const size_t staging_size =
      kStagingSlots * StagingSlotSize(std::max<size_t>(1, num_threads));
  // One allocation for all, and queues that are gone before it is.
  TB_ASSIGN_OR_RETURN(const auto staging,
                      io::AlignedBuffer::Allocate(num_threads * staging_size));
  const bool looks_at_pages = options.direct && options.zero_copy == ZeroCopy::kWhereFaster;
  std::optional<io::HugePages> huge_pages;
  if (looks_at_pages) huge_pages.emplace();
  std::vector<Worker> workers(num_threads);
  const io::QueueOptions queue = options.transfer.Queue(options.direct);
  RunOptions how;
  how.num_threads = num_threads;
  how.total_bytes = run.total_bytes;
  how.observer = options.observer;
  const Status status = RunJobs(
      run.num_jobs,
      [&](size_t index, JobContext& context) {
        Worker& worker = workers[context.worker()];
        const size_t begin = context.worker() * staging_size;
        const WriteResources resources = {
            staging.bytes().subspan(begin, staging_size),
            &worker.GetQueue(storage, queue),
            &worker.seconds,
            queue.block_size,
            options.snapshot || options.zero_copy == ZeroCopy::kNever,
            huge_pages.has_value() ? &*huge_pages : nullptr};
        return job(index, resources, context);
      },
      how);
  report.stages += TotalSeconds(workers);
  if (report.queue_reason.empty()) report.queue_reason = SynchronousReason(workers);
  return status;
}

}  // namespace tensorbundle::engine
