#include "engine/shard_adoption.h"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "engine/shard_copy.h"
#include "engine/thread_pool.h"

namespace tensorbundle::engine {
namespace {

class Adoption {
 public:
  Adoption(io::Storage& storage, Publication& publication)
      : storage_(storage), publication_(publication) {}

  Status Run(std::span<const AdoptedShard> shards, const AdoptionOptions& options) {
    RunOptions run;
    const size_t wanted = options.num_threads != 0 ? options.num_threads : DefaultNumThreads();
    run.num_threads = std::min(wanted, shards.size());
    run.observer = options.observer;
    for (const AdoptedShard& shard : shards) run.total_bytes += shard.size;
    return RunJobs(
        shards.size(),
        [&](size_t index, JobContext& context) { return Adopt(shards[index], context); }, run);
  }

  // REQUIRES: Run() is over
  const AdoptionReport& report() const { return report_; }

 private:
  Status Adopt(const AdoptedShard& shard, JobContext& context) {
    Status status = LinkOrCopy(shard, context).WithShard(shard.from);
    // What is wrong with the file may be that it is another checkpoint's by now.
    if (IsCorruption(status.code())) TB_RETURN_IF_ERROR(shard.source->CheckCurrent());
    return status;
  }

  Status LinkOrCopy(const AdoptedShard& shard, JobContext& context) {
    const std::string path = shard.source->ShardPath(shard.from);
    auto size = publication_.AdoptShard(shard.to, path);
    const bool is_linked = size.ok();
    if (!is_linked && io::IsLinkRefusal(size.status())) {
      NoteCopy(size.status());
      size = CopyShard(storage_, path, shard.to, publication_, context);
    }
    if (!size.ok() && size.status().error_number() == ENOENT) {
      return Status(Code::kMissingShard, "the data file is missing").WithPath(path);
    }
    TB_RETURN_IF_ERROR(size.status());
    CountBytes(*size, is_linked);
    context.AddDone(shard.size);
    if (*size >= shard.size) return Status();
    return Status(Code::kOutOfBounds, "the data file has " + std::to_string(*size) +
                                          " bytes, its tensors reach to " +
                                          std::to_string(shard.size))
        .WithPath(path);
  }

  void NoteCopy(const Status& refusal) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (report_.copy_reason.empty()) report_.copy_reason = refusal.ToString();
  }

  void CountBytes(uint64_t size, bool is_linked) {
    const std::lock_guard<std::mutex> lock(mutex_);
    (is_linked ? report_.linked_bytes : report_.copied_bytes) += size;
  }

  io::Storage& storage_;
  Publication& publication_;
  std::mutex mutex_;
  AdoptionReport report_;  // guarded by mutex_ while shards are adopted
};

}  // namespace

void AddUse(const format::Entry& entry, UsedShards& used) {
  if (!entry.slices.empty()) return;
  uint64_t& size = used[entry.shard_id];
  size = std::max(size, entry.offset + entry.size);  // below 2^63
}

Result<AdoptionReport> AdoptShards(io::Storage& storage, std::span<const AdoptedShard> shards,
                                   Publication& publication, const AdoptionOptions& options) {
  if (shards.empty()) {
    TB_ASSIGN_OR_RETURN(const auto file, publication.CreateShard(0));
    TB_RETURN_IF_ERROR(publication.FinishShard(*file, 0));
    return AdoptionReport();
  }
  Adoption adoption(storage, publication);
  TB_RETURN_IF_ERROR(adoption.Run(shards, options));
  return adoption.report();
}

}  // namespace tensorbundle::engine
