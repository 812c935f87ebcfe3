#include "engine/v1_reader.h"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <utility>

#include "engine/box_copy.h"
#include "engine/thread_pool.h"

namespace tensorbundle::engine {
namespace {

// One slice of one request.
struct SliceJob {
  size_t request = 0;
  const V1Checkpoint::Piece* piece = nullptr;
};

bool IsString(const ReadRequest& request) {
  return request.entry.dtype == format::DType::kString;
}

// A slice that is all of the tensor is decoded in place, others through memory of their own.
Status ReadPiece(const ReadRequest& request, const V1Checkpoint::Piece& piece) {
  const Box whole = WholeBox(request.entry.shape);
  if (piece.place == whole) return piece.elements.CopyTo(request.out);
  const uint32_t element_size = format::ElementSize(request.entry.dtype);
  std::vector<std::byte> slice(piece.elements.count() * element_size);
  TB_RETURN_IF_ERROR(piece.elements.CopyTo(slice));
  BoxCopy(piece.place, whole, element_size).Place(0, slice, request.out);
  return Status();
}

RunOptions Running(const ReadOptions& options, size_t num_jobs, ReadReport& report) {
  const size_t wanted = options.num_threads != 0 ? options.num_threads : DefaultNumThreads();
  report.num_threads = std::clamp<size_t>(wanted, 1, std::max<size_t>(1, num_jobs));
  RunOptions run;
  run.num_threads = report.num_threads;
  run.total_bytes = report.bytes;
  run.observer = options.observer;
  return run;
}

ReadReport ReportOf(std::span<const ReadRequest> requests) {
  ReadReport report;
  report.num_tensors = requests.size();
  for (const ReadRequest& request : requests) report.bytes += request.entry.size;
  return report;
}

Status VerifyTensor(const V1Checkpoint& checkpoint, const ReadRequest& request) {
  TB_ASSIGN_OR_RETURN(const V1Pieces pieces, checkpoint.Locate(request.name));
  if (IsString(request)) return Status();
  for (const V1Checkpoint::Piece& piece : pieces) {
    Status status = piece.elements.CopyTo({});
    if (!status.ok()) return checkpoint.Place(std::move(status), request.name, piece.file);
  }
  return Status();
}

}  // namespace

Result<ReadRequest> MakeV1Request(const V1Checkpoint& checkpoint, std::string name) {
  TB_ASSIGN_OR_RETURN(V1Checkpoint::Tensor tensor, checkpoint.Find(name));
  ReadRequest request;
  request.name = std::move(name);
  format::Entry& entry = request.entry;
  entry.dtype = tensor.dtype;
  entry.shape = std::move(tensor.shape);
  entry.shard_id = tensor.files.front();
  const uint32_t element_size = format::ElementSize(entry.dtype);
  TB_ASSIGN_OR_RETURN(const uint64_t count, format::NumElements(entry.shape, element_size));
  entry.size = count * element_size;
  return request;
}

Result<std::vector<V1Pieces>> LocateAll(const V1Checkpoint& checkpoint,
                                        std::span<const ReadRequest> requests) {
  std::vector<V1Pieces> located;
  located.reserve(requests.size());
  for (const ReadRequest& request : requests) {
    TB_ASSIGN_OR_RETURN(V1Pieces pieces, checkpoint.Locate(request.name));
    located.push_back(std::move(pieces));
  }
  return located;
}

Result<ReadReport> ReadV1Tensors(const V1Checkpoint& checkpoint,
                                 std::span<const ReadRequest> requests,
                                 std::span<const V1Pieces> pieces,
                                 const ReadOptions& options) {
  const Clock::time_point start = Clock::now();
  std::vector<SliceJob> jobs;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (IsString(requests[i])) continue;
    for (const V1Checkpoint::Piece& piece : pieces[i]) jobs.push_back({i, &piece});
  }
  ReadReport report = ReportOf(requests);
  const RunOptions run = Running(options, jobs.size(), report);
  TB_RETURN_IF_ERROR(RunJobs(
      jobs.size(),
      [&](size_t index, JobContext& context) {
        const SliceJob& job = jobs[index];
        const ReadRequest& request = requests[job.request];
        context.AddDone(Volume(job.piece->place) * format::ElementSize(request.entry.dtype));
        Status status = ReadPiece(request, *job.piece);
        return checkpoint.Place(std::move(status), request.name, job.piece->file);
      },
      run));
  report.seconds = SecondsSince(start);
  return report;
}

std::vector<Bytes> V1Strings(const format::Shape& shape, const V1Pieces& pieces) {
  const Box whole = WholeBox(shape);
  std::vector<Bytes> strings(Volume(whole));
  for (const V1Checkpoint::Piece& piece : pieces) {
    const std::vector<Bytes> slice = piece.elements.Strings();
    // The views are the elements: they are what is moved to its place.
    BoxCopy(piece.place, whole, sizeof(Bytes))
        .Place(0, std::as_bytes(std::span(slice)), std::as_writable_bytes(std::span(strings)));
  }
  return strings;
}

Result<ReadReport> VerifyV1Tensors(const V1Checkpoint& checkpoint,
                                   std::span<const ReadRequest> requests,
                                   const ReadOptions& options, std::vector<Fault>& faults) {
  const Clock::time_point start = Clock::now();
  ReadReport report = ReportOf(requests);
  const RunOptions run = Running(options, requests.size(), report);
  std::mutex mutex;
  TB_RETURN_IF_ERROR(RunJobs(
      requests.size(),
      [&](size_t index, JobContext& context) {
        TB_RETURN_IF_ERROR(context.CheckStopped());
        Status status = VerifyTensor(checkpoint, requests[index]);
        context.AddDone(requests[index].entry.size);
        const std::lock_guard<std::mutex> lock(mutex);
        if (!status.ok()) faults.push_back({index, std::move(status)});
        return Status();
      },
      run));
  std::sort(faults.begin(), faults.end(),
            [](const Fault& a, const Fault& b) { return a.request < b.request; });
  report.seconds = SecondsSince(start);
  return report;
}

}  // namespace tensorbundle::engine
