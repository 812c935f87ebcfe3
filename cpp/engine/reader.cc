#include "engine/reader.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/text.h"
#include "checksum/crc32c.h"
#include "engine/read_plan.h"
#include "engine/thread_pool.h"
#include "format/string_tensor.h"
#include "io/aligned_buffer.h"

namespace tensorbundle::engine {
namespace {

using Clock = std::chrono::steady_clock;

// Read, then checksummed, while it is in the second-level cache.
constexpr uint64_t kReadBlock = 256u << 10;  // bytes

// A data file that some jobs read: opened by the first of them, closed by the last.
struct ShardSlot {
  std::once_flag opened;
  Status open_status;
  std::unique_ptr<io::ReadableFile> file;
  std::atomic<size_t> unfinished_jobs = 0;
};

struct PartChecksum {
  uint32_t request = 0;
  uint64_t size = 0;  // bytes
  checksum::Crc32c crc;
};

class ReadOperation {
 public:
  // `faults` is null where the first failure ends the operation.
  ReadOperation(const Bundle& bundle, std::span<const ReadRequest> requests,
                const ReadOptions& options, std::vector<Fault>* faults)
      : bundle_(bundle),
        requests_(requests),
        options_(options),
        faults_(faults),
        sound_(requests.size(), 1) {}

  Status Check() {
    std::map<uint32_t, Result<uint64_t>> sizes;  // of the shards
    for (uint32_t i = 0; i < requests_.size(); ++i) {
      TB_RETURN_IF_ERROR(Report(i, CheckRequest(requests_[i].entry, sizes)));
    }
    return Status();
  }

  Result<ReadReport> Run() {
    const Clock::time_point start = Clock::now();
    TB_RETURN_IF_ERROR(Check());
    MakeJobs();
    TB_RETURN_IF_ERROR(RunAllJobs());
    TB_RETURN_IF_ERROR(CompareChecksums());
    report_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return report_;
  }

 private:
  Status CheckRequest(const format::Entry& entry,
                      std::map<uint32_t, Result<uint64_t>>& sizes) const {
    TB_RETURN_IF_ERROR(bundle_.CheckReadable(entry));
    auto found = sizes.find(entry.shard_id);
    if (found == sizes.end()) {
      auto file = bundle_.OpenShard(entry.shard_id);
      found = sizes
                  .emplace(entry.shard_id, file.ok() ? Result<uint64_t>((*file)->size())
                                                     : std::move(file).status())
                  .first;
    }
    TB_ASSIGN_OR_RETURN(const uint64_t size, found->second);
    if (entry.offset > size || entry.size > size - entry.offset) {
      return Status(Code::kOutOfBounds, std::to_string(entry.size) +
                                            " bytes are not inside a data file of " +
                                            std::to_string(size) + " bytes");
    }
    return Status();
  }

  // Places a failure; keeps it where faults are collected, else hands it back.
  Status Report(uint32_t request, Status status) {
    if (status.ok()) return status;
    const ReadRequest& at = requests_[request];
    status = std::move(status)
                 .WithKey(at.name)
                 .WithShard(at.entry.shard_id)
                 .WithOffset(at.entry.offset)
                 .WithPath(bundle_.ShardPath(at.entry.shard_id));
    if (faults_ == nullptr || status.code() == Code::kCancelled) return status;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sound_[request] != 0) faults_->push_back({request, std::move(status)});
    sound_[request] = 0;
    return Status();
  }

  bool IsString(uint32_t request) const {
    return requests_[request].entry.dtype == format::DType::kString;
  }

  void MakeJobs() {
    std::vector<ReadRange> ranges(requests_.size());
    for (uint32_t i = 0; i < requests_.size(); ++i) {
      if (sound_[i] == 0) continue;  // no bytes, so no job
      const format::Entry& entry = requests_[i].entry;
      const bool whole = IsString(i) && requests_[i].out.empty();
      ranges[i] = {entry.shard_id, entry.offset, entry.size, whole};
      report_.bytes += entry.size;
      ++report_.num_tensors;
    }
    jobs_ = PlanReads(ranges);
    parts_.resize(jobs_.size());
    for (const ReadJob& job : jobs_) ++shards_[job.shard].unfinished_jobs;
  }

  Status RunAllJobs() {
    report_.num_threads =
        std::min(options_.num_threads != 0 ? options_.num_threads : DefaultNumThreads(),
                 std::max<size_t>(jobs_.size(), 1));
    std::vector<io::AlignedBuffer> scratch;
    for (size_t i = 0; i < report_.num_threads; ++i) {
      TB_ASSIGN_OR_RETURN(auto buffer, io::AlignedBuffer::Allocate(kGatherSize));
      scratch.push_back(std::move(buffer));
    }
    RunOptions run;
    run.num_threads = report_.num_threads;
    run.total_bytes = report_.bytes;
    run.observer = options_.observer;
    return RunJobs(
        jobs_.size(),
        [&](size_t index, JobContext& context) {
          const MutableBytes buffer = scratch[context.worker()].bytes();
          Status status = RunJob(jobs_[index], buffer, parts_[index], context);
          return ReportJob(jobs_[index], std::move(status));
        },
        run);
  }

  Status ReportJob(const ReadJob& job, Status status) {
    if (status.ok()) return status;
    for (const uint32_t request : job.ranges) {
      TB_RETURN_IF_ERROR(Report(request, status));
    }
    return Status();
  }

  Status RunJob(const ReadJob& job, MutableBytes scratch, std::vector<PartChecksum>& parts,
                JobContext& context) {
    ShardSlot& shard = shards_.find(job.shard)->second;
    std::call_once(shard.opened, [&] {
      auto file = bundle_.OpenShard(job.shard);
      if (file.ok()) {
        shard.file = std::move(file).value();
      } else {
        shard.open_status = std::move(file).status();
      }
    });
    TB_RETURN_IF_ERROR(shard.open_status);
    const ReadRequest& first = requests_[job.ranges.front()];
    Status status;
    if (IsString(job.ranges.front()) && first.out.empty() && first.entry.size > 0) {
      status = CheckStrings(first, *shard.file);
    } else if (job.ranges.size() == 1) {
      status = ReadPart(job, *shard.file, scratch, parts, context);
    } else {
      status = GatherSmall(job, *shard.file, scratch, parts);
    }
    context.AddDone(job.end - job.begin);
    if (--shard.unfinished_jobs == 0) shard.file.reset();
    return status;
  }

  Status CheckStrings(const ReadRequest& request, const io::ReadableFile& file) const {
    TB_ASSIGN_OR_RETURN(const auto stored, io::AlignedBuffer::Allocate(request.entry.size));
    TB_RETURN_IF_ERROR(file.ReadAt(request.entry.offset, stored.bytes()));
    TB_ASSIGN_OR_RETURN(const uint64_t count, format::NumElements(request.entry.shape, 1));
    return format::DecodeStrings(stored.bytes(), count, request.entry.crc32c, true).status();
  }

  // One tensor, or a part of it, to its destination or through the scratch buffer.
  Status ReadPart(const ReadJob& job, const io::ReadableFile& file, MutableBytes scratch,
                  std::vector<PartChecksum>& parts, JobContext& context) const {
    const ReadRequest& request = requests_[job.ranges.front()];
    PartChecksum part{job.ranges.front(), job.end - job.begin, {}};
    for (uint64_t at = job.begin; at < job.end;) {
      TB_RETURN_IF_ERROR(context.CheckStopped());
      const auto size = static_cast<size_t>(std::min(job.end - at, kReadBlock));
      const MutableBytes block = request.out.empty()
                                     ? scratch.first(size)
                                     : request.out.subspan(at - request.entry.offset, size);
      TB_RETURN_IF_ERROR(file.ReadAt(at, block));
      if (options_.verify) part.crc = checksum::Extend(part.crc, block);
      at += size;
    }
    parts.push_back(part);
    return Status();
  }

  Status GatherSmall(const ReadJob& job, const io::ReadableFile& file, MutableBytes scratch,
                     std::vector<PartChecksum>& parts) const {
    const MutableBytes read = scratch.first(job.end - job.begin);
    TB_RETURN_IF_ERROR(file.ReadAt(job.begin, read));
    for (const uint32_t i : job.ranges) {
      const ReadRequest& request = requests_[i];
      const Bytes stored = read.subspan(request.entry.offset - job.begin, request.entry.size);
      PartChecksum part{i, request.entry.size, {}};
      if (request.out.empty()) {
        part.crc = checksum::Compute(stored);
      } else if (options_.verify) {
        part.crc = checksum::ExtendCopy({}, request.out, stored);
      } else {
        std::copy(stored.begin(), stored.end(), request.out.begin());
      }
      parts.push_back(part);
    }
    return Status();
  }

  Status CompareChecksums() {
    if (!options_.verify) return Status();
    std::vector<checksum::Crc32c> crcs(requests_.size());
    for (const std::vector<PartChecksum>& of_job : parts_) {
      for (const PartChecksum& part : of_job) {
        crcs[part.request] = checksum::Combine(crcs[part.request], part.crc, part.size);
      }
    }
    for (uint32_t i = 0; i < requests_.size(); ++i) {
      const checksum::MaskedCrc32c stored = requests_[i].entry.crc32c;
      // Strings carry a checksum of another kind, which their decoder compares.
      if (sound_[i] == 0 || IsString(i) || checksum::Mask(crcs[i]) == stored) continue;
      TB_RETURN_IF_ERROR(
          Report(i, Status(Code::kDataChecksumMismatch,
                           "the " + std::to_string(requests_[i].entry.size) +
                               " bytes have checksum " + Hex(checksum::Mask(crcs[i]).value()) +
                               ", the index says " + Hex(stored.value()))));
    }
    return Status();
  }

  const Bundle& bundle_;
  const std::span<const ReadRequest> requests_;
  const ReadOptions& options_;
  ReadReport report_;
  std::vector<ReadJob> jobs_;
  std::vector<std::vector<PartChecksum>> parts_;  // one list per job
  std::map<uint32_t, ShardSlot> shards_;

  std::mutex mutex_;
  std::vector<Fault>* const faults_;  // guarded by mutex_
  std::vector<char> sound_;           // guarded while jobs run: one flag per request
};

}  // namespace

Status CheckRequests(const Bundle& bundle, std::span<const ReadRequest> requests) {
  return ReadOperation(bundle, requests, {}, nullptr).Check();
}

Result<ReadReport> ReadTensors(const Bundle& bundle, std::span<const ReadRequest> requests,
                               const ReadOptions& options) {
  return ReadOperation(bundle, requests, options, nullptr).Run();
}

Result<ReadReport> VerifyTensors(const Bundle& bundle, std::span<const ReadRequest> requests,
                                 const ReadOptions& options, std::vector<Fault>& faults) {
  auto report = ReadOperation(bundle, requests, options, &faults).Run();
  std::sort(faults.begin(), faults.end(),
            [](const Fault& a, const Fault& b) { return a.request < b.request; });
  return report;
}

}  // namespace tensorbundle::engine
