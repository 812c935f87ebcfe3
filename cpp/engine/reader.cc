#include "engine/reader.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/arithmetic.h"
#include "base/text.h"
#include "checksum/crc32c.h"
#include "engine/byte_order.h"
#include "engine/job_reader.h"
#include "engine/page_supply.h"
#include "engine/read_plan.h"
#include "engine/shared_file.h"
#include "engine/thread_pool.h"
#include "engine/worker.h"
#include "format/elements.h"
#include "io/aligned_buffer.h"
#include "io/backend.h"

namespace tensorbundle::engine {
namespace {

// A file with at least this share in the page cache is read through it.
constexpr double kMostlyCached = 0.5;

// Entries may share bytes (TensorFlow reads such bundles), but a small file must not be
// able to ask for boundless work and memory: one load takes at most that many times a
// data file's size from it.
constexpr uint64_t kMostOverlap = 4;

// What a load may still take from a shard.
struct ShardRoom {
  Status status;      // of opening it
  uint64_t size = 0;  // bytes
  uint64_t left = 0;  // bytes
};

// A data file that some jobs read.
struct Shard {
  SharedFile<io::ReadableFile> file;
  uint64_t bytes = 0;  // to be read
};

// What is cheaper read through the page cache than probed for direct reads.
constexpr uint64_t kSmallRead = 1u << 20;  // bytes

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
    if (options_.mode == ReadMode::kDirect) TB_RETURN_IF_ERROR(CheckDirect());
    std::map<uint32_t, ShardRoom> rooms;
    for (uint32_t i = 0; i < requests_.size(); ++i) {
      TB_RETURN_IF_ERROR(Report(i, CheckRequest(requests_[i].entry, rooms)));
    }
    return Status();
  }

  Result<ReadReport> Run() {
    const Clock::time_point start = Clock::now();
    TB_RETURN_IF_ERROR(Check());
    MakeJobs();
    report_.plan_seconds = SecondsSince(start);
    TB_RETURN_IF_ERROR(RunAllJobs());
    TB_RETURN_IF_ERROR(CompareChecksums());
    if (bundle_.byte_order() == std::endian::big) {
      TB_RETURN_IF_ERROR(ReverseDestinations(requests_, report_.num_threads));
    }
    report_.direct_bytes = direct_bytes_;
    report_.seconds = SecondsSince(start);
    return report_;
  }

 private:
  // What was asked for in so many words is refused where it cannot work.
  Status CheckDirect() const {
    if (requests_.empty()) return Status();
    const std::string path = bundle_.ShardPath(requests_.front().entry.shard_id);
    const auto traits = io::ProbeFile(path);
    if (!traits.ok() || (traits->direct && traits->granule.offset <= kMaxGranule)) {
      return Status();  // a missing file is told by whoever opens it
    }
    return Status(Code::kUnsupportedBackend,
                  "direct reads cannot work here: " + traits->direct_reason +
                      "; \"buffered\" and \"auto\" can")
        .WithPath(path);
  }

  Status CheckRequest(const format::Entry& entry, std::map<uint32_t, ShardRoom>& rooms) const {
    if (!entry.slices.empty()) {
      return Status(Code::kUnsupportedLayout, "its parts are to be read one by one");
    }
    auto found = rooms.find(entry.shard_id);
    if (found == rooms.end()) {
      found = rooms.emplace(entry.shard_id, MeasureShard(entry.shard_id)).first;
    }
    ShardRoom& room = found->second;
    TB_RETURN_IF_ERROR(Status(room.status));
    if (entry.offset > room.size || entry.size > room.size - entry.offset) {
      return Status(Code::kOutOfBounds, std::to_string(entry.size) +
                                            " bytes are not inside a data file of " +
                                            std::to_string(room.size) + " bytes");
    }
    if (entry.size > room.left) {
      return Status(Code::kLimitExceeded,
                    "tensors share bytes so much that together they are more than " +
                        std::to_string(kMostOverlap) + " times their data file of " +
                        std::to_string(room.size) + " bytes");
    }
    room.left -= entry.size;
    return Status();
  }

  ShardRoom MeasureShard(uint32_t shard) const {
    const auto file = bundle_.OpenShard(shard);
    if (!file.ok()) return {file.status(), 0, 0};
    const uint64_t size = (*file)->size();
    return {Status(), size, CheckedMultiply(size, kMostOverlap).value_or(UINT64_MAX)};
  }

  // Places a failure; keeps it where faults are collected, else hands it back.
  Status Report(uint32_t request, Status status) {
    if (status.ok()) return status;
    const ReadRequest& at = requests_[request];
    if (!at.part.empty()) status = std::move(status).Within(at.part);
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

  // Whether the tensor's checksum is not that of its bytes: of strings and variants.
  bool IsEncoded(uint32_t request) const {
    return !format::HasElementSize(requests_[request].entry.dtype);
  }

  void MakeJobs() {
    std::vector<ReadRange> ranges(requests_.size());
    for (uint32_t i = 0; i < requests_.size(); ++i) {
      if (sound_[i] == 0) continue;  // no bytes, so no job
      const format::Entry& entry = requests_[i].entry;
      const bool whole = IsEncoded(i) && requests_[i].out.empty();
      ranges[i] = {entry.shard_id, entry.offset, entry.size, whole};
      report_.bytes += entry.size;
      ++report_.num_tensors;
    }
    jobs_ = PlanReads(ranges);
    parts_.resize(jobs_.size());
    for (const ReadJob& job : jobs_) {
      Shard& shard = shards_[job.shard];
      shard.file.AddJob();
      shard.bytes += job.end - job.begin;
    }
  }

  // Bytes of a thread's.  Through the page cache no job takes more than it reads; to read
  // one small tensor would else be mostly the clearing of a huge page that nobody needs.
  size_t ScratchSize() const {
    if (options_.mode == ReadMode::kDirect) return kScratchSize;
    uint64_t largest = 0;
    for (const ReadJob& job : jobs_) largest = std::max(largest, job.end - job.begin);
    // What is larger may be read past the page cache (WantsDirect).
    for (const auto& [index, shard] : shards_) {
      if (shard.bytes >= kSmallRead) return kScratchSize;
    }
    return largest;
  }

  Status RunAllJobs() {
    report_.num_threads =
        std::min({options_.num_threads != 0 ? options_.num_threads : DefaultNumThreads(),
                  std::max<size_t>(jobs_.size(), 1), kMaxReadThreads});
    // One allocation for all, and queues that are gone before it is.
    const size_t scratch_size = ScratchSize();
    TB_ASSIGN_OR_RETURN(const auto scratch,
                        io::AlignedBuffer::Allocate(report_.num_threads * scratch_size));
    std::vector<Worker> workers(report_.num_threads);
    RunOptions run;
    run.num_threads = report_.num_threads;
    run.total_bytes = report_.bytes;
    run.observer = options_.observer;
    const Status status = RunJobs(
        jobs_.size(),
        [&](size_t index, JobContext& context) {
          Worker& worker = workers[context.worker()];
          const MutableBytes memory =
              scratch.bytes().subspan(context.worker() * scratch_size, scratch_size);
          Status status = RunJob(index, memory, worker, context);
          // A queue keeps its first failure; the next job wants a fresh one.
          if (!status.ok()) worker.queue.reset();
          return ReportJob(jobs_[index], std::move(status));
        },
        run);
    report_.stages = TotalSeconds(workers);
    report_.queue_reason = SynchronousReason(workers);
    return status;
  }

  Status ReportJob(const ReadJob& job, Status status) {
    if (status.ok()) return status;
    for (const uint32_t request : job.ranges) {
      TB_RETURN_IF_ERROR(Report(request, status));
    }
    return Status();
  }

  Status RunJob(size_t index, MutableBytes scratch, Worker& worker, JobContext& context) {
    const ReadJob& job = jobs_[index];
    Shard& shard = shards_.find(job.shard)->second;
    TB_ASSIGN_OR_RETURN(const io::ReadableFile* const file,
                        shard.file.Get([&] { return OpenShard(job.shard, shard.bytes); }));
    Status status;
    if (IsEncoded(job.ranges.front()) && requests_[job.ranges.front()].out.empty()) {
      status = CheckElements(requests_[job.ranges.front()]);
      context.AddDone(job.end - job.begin);
    } else {
      status = ReadJobFrom(*file, index, scratch, worker, context);
    }
    shard.file.FinishJob();
    return status;
  }

  Status ReadJobFrom(const io::ReadableFile& file, size_t index, MutableBytes scratch,
                     Worker& worker, JobContext& context) {
    const ReadJob& job = jobs_[index];
    ReadResources resources;
    resources.scratch = scratch;
    resources.seconds = &worker.seconds;
    resources.pages = &pages_;
    const bool direct = file.granule().offset > 1;
    resources.block_size = options_.transfer.BlockSize(direct);
    if (direct) {
      resources.queue = &worker.GetQueue(bundle_.storage(), options_.transfer.Queue(direct));
      direct_bytes_ += job.end - job.begin;
    }
    return JobReader(requests_, options_.verify, resources, context)
        .Read(job, file, parts_[index]);
  }

  Result<std::unique_ptr<io::ReadableFile>> OpenShard(uint32_t index, uint64_t bytes) const {
    return WantsDirect(index, bytes) ? bundle_.OpenShardDirect(index)
                                     : bundle_.OpenShard(index);
  }

  bool WantsDirect(uint32_t shard, uint64_t bytes) const {
    if (options_.mode != ReadMode::kAuto) return options_.mode == ReadMode::kDirect;
    if (bytes < kSmallRead) return false;
    const std::string path = bundle_.ShardPath(shard);
    const auto traits = io::ProbeFile(path);
    if (!traits.ok() || !traits->direct || traits->granule.offset > kMaxGranule) return false;
    const auto cached = io::CachedShare(path);
    return cached.ok() && *cached < kMostlyCached;
  }

  Status CheckElements(const ReadRequest& request) const {
    TB_ASSIGN_OR_RETURN(const auto file, bundle_.OpenShard(request.entry.shard_id));
    TB_ASSIGN_OR_RETURN(const auto stored, io::AlignedBuffer::Allocate(request.entry.size));
    TB_RETURN_IF_ERROR(file->ReadAt(request.entry.offset, stored.bytes()));
    return format::DecodeElements(request.entry, stored.bytes(), bundle_.byte_order(), true)
        .status();
  }

  Status CompareChecksums() {
    if (!options_.verify) return Status();
    std::vector<checksum::Crc32c> crcs(requests_.size());
    for (const std::vector<PartChecksum>& of_job : parts_) AddParts(of_job, crcs);
    for (uint32_t i = 0; i < requests_.size(); ++i) {
      if (sound_[i] == 0) continue;
      TB_RETURN_IF_ERROR(Report(i, CompareChecksum(i, crcs[i])));
    }
    return Status();
  }

  Status CompareChecksum(uint32_t request, checksum::Crc32c crc) const {
    const format::Entry& entry = requests_[request].entry;
    if (IsEncoded(request)) {
      // Those carry a checksum of another kind, which their decoder compares.  Of an empty
      // one there was nothing to read, so nobody has decoded it yet.
      if (entry.size != 0) return Status();
      return format::DecodeElements(entry, {}, bundle_.byte_order(), true).status();
    }
    if (checksum::Mask(crc) == entry.crc32c) return Status();
    return Status(Code::kDataChecksumMismatch,
                  "the " + std::to_string(entry.size) + " bytes have checksum " +
                      Hex(checksum::Mask(crc).value()) + ", the index says " +
                      Hex(entry.crc32c.value()));
  }

  const Bundle& bundle_;
  const std::span<const ReadRequest> requests_;
  const ReadOptions& options_;
  ReadReport report_;
  std::vector<ReadJob> jobs_;
  std::vector<std::vector<PartChecksum>> parts_;  // one list per job
  std::map<uint32_t, Shard> shards_;
  std::atomic<uint64_t> direct_bytes_ = 0;
  PageSupply pages_;

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
