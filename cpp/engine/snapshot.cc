#include "engine/snapshot.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/alignment.h"
#include "engine/stages.h"
#include "engine/thread_pool.h"

namespace tensorbundle::engine {
namespace {

// Small tensors are packed; large ones start at a page, so that direct I/O needs no copy.
constexpr uint64_t kSmallAlignment = 64;      // bytes
constexpr uint64_t kPage = 4096;              // bytes: at least any common granule
constexpr uint64_t kLargeSize = 64u << 10;    // bytes
constexpr uint64_t kJobBytes = 8u << 20;      // bytes a thread copies at a time
constexpr uint64_t kAdvanceBlock = 1u << 20;  // bytes between two looks at Ctrl-C

bool IsCopied(const TensorView& tensor) { return tensor.size > 0 && !tensor.crc.has_value(); }

uint64_t PlaceAfter(uint64_t end, const TensorView& tensor) {
  return AlignUp(end, tensor.size < kLargeSize ? kSmallAlignment : kPage);
}

// A part of a tensor and where it is copied to.
struct Piece {
  const TensorView* tensor = nullptr;
  uint64_t begin = 0;
  MutableBytes out;
};

Status Copy(const Piece& piece) {
  if (piece.tensor->staged != nullptr) {
    return piece.tensor->staged->Read(piece.begin, piece.out);
  }
  std::memcpy(piece.out.data(), piece.tensor->contiguous.data() + piece.begin,
              piece.out.size());
  return Status();
}

class SnapshotOperation {
 public:
  SnapshotOperation(std::span<TensorView> tensors, MutableBytes arena)
      : tensors_(tensors), arena_(arena), copies_(tensors.size()) {}

  Result<SnapshotReport> Run(const SnapshotOptions& options) {
    const Clock::time_point start = Clock::now();
    PlaceCopies();
    RunOptions run;
    run.num_threads = options.num_threads != 0 ? options.num_threads : DefaultNumThreads();
    run.total_bytes = report_.copied_bytes;
    run.observer = options.observer;
    TB_RETURN_IF_ERROR(RunJobs(
        job_ends_.size(),
        [&](size_t index, JobContext& context) { return CopyJob(index, context); }, run));
    UseCopies();
    report_.seconds = SecondsSince(start);
    return report_;
  }

 private:
  void PlaceCopies() {
    uint64_t end = 0;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const TensorView& tensor = tensors_[i];
      if (!IsCopied(tensor)) continue;
      const uint64_t begin = PlaceAfter(end, tensor);
      if (begin > arena_.size() || tensor.size > arena_.size() - begin) {
        report_.borrowed_bytes += tensor.size;
        continue;
      }
      copies_[i] = arena_.subspan(begin, tensor.size);
      end = begin + tensor.size;
      report_.copied_bytes += tensor.size;
      AddPieces(tensor, copies_[i]);
    }
    if (job_bytes_ > 0) job_ends_.push_back(pieces_.size());
  }

  void AddPieces(const TensorView& tensor, MutableBytes out) {
    for (uint64_t begin = 0; begin < out.size();) {
      const uint64_t size = std::min<uint64_t>(out.size() - begin, kAdvanceBlock);
      pieces_.push_back({&tensor, begin, out.subspan(begin, size)});
      begin += size;
      job_bytes_ += size;
      if (job_bytes_ < kJobBytes) continue;
      job_ends_.push_back(pieces_.size());
      job_bytes_ = 0;
    }
  }

  Status CopyJob(size_t index, JobContext& context) const {
    const size_t begin = index == 0 ? 0 : job_ends_[index - 1];
    for (size_t i = begin; i < job_ends_[index]; ++i) {
      TB_RETURN_IF_ERROR(context.CheckStopped());
      TB_RETURN_IF_ERROR(Copy(pieces_[i]));
      context.AddDone(pieces_[i].out.size());
    }
    return Status();
  }

  void UseCopies() {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      TensorView& tensor = tensors_[i];
      if (!IsCopied(tensor)) continue;
      tensor.borrowed = copies_[i].empty();
      if (tensor.borrowed) continue;
      tensor.contiguous = copies_[i];
      tensor.staged.reset();
    }
  }

  const std::span<TensorView> tensors_;
  const MutableBytes arena_;
  std::vector<MutableBytes> copies_;  // one per tensor; empty: none
  std::vector<Piece> pieces_;
  std::vector<size_t> job_ends_;  // a job's pieces end before this one
  uint64_t job_bytes_ = 0;        // in pieces of no job yet
  SnapshotReport report_;
};

}  // namespace

uint64_t SnapshotSize(std::span<const TensorView> tensors) {
  uint64_t end = 0;
  for (const TensorView& tensor : tensors) {
    if (IsCopied(tensor)) end = PlaceAfter(end, tensor) + tensor.size;
  }
  return end;
}

Result<SnapshotReport> TakeSnapshot(std::span<TensorView> tensors, MutableBytes arena,
                                    const SnapshotOptions& options) {
  return SnapshotOperation(tensors, arena).Run(options);
}

}  // namespace tensorbundle::engine
