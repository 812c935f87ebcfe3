#include "engine/stream_shards.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/alignment.h"
#include "engine/extent_run.h"
#include "engine/extents.h"
#include "engine/part_checksum.h"
#include "engine/stages.h"
#include "engine/thread_pool.h"

namespace tensorbundle::engine {
namespace {

// A gap up to this size is a part of the image; beyond it, the image begins anew.
constexpr uint64_t kSmallGap = 64u << 10;  // bytes

Status ReadBytes(const TensorView& tensor, uint64_t offset, MutableBytes out) {
  if (tensor.staged != nullptr) return tensor.staged->Read(offset, out);
  std::memcpy(out.data(), tensor.contiguous.subspan(offset, out.size()).data(), out.size());
  return Status();
}

// The source of a tensor that belongs to somebody else.
class BorrowedSource final : public StagedSource {
 public:
  explicit BorrowedSource(const StagedSource& source) : source_(source) {}
  Status Read(uint64_t offset, MutableBytes out) const override {
    return source_.Read(offset, out);
  }
  uint64_t block_size() const override { return source_.block_size(); }

 private:
  const StagedSource& source_;
};

TensorView Borrow(const TensorView& tensor) {
  TensorView view;
  view.name = tensor.name;
  view.shape = tensor.shape;
  view.dtype = tensor.dtype;
  view.size = tensor.size;
  view.contiguous = tensor.contiguous;
  if (tensor.staged != nullptr) view.staged = std::make_unique<BorrowedSource>(*tensor.staged);
  view.is_part = tensor.is_part;
  view.crc = tensor.crc;
  return view;
}

}  // namespace

StreamShards::StreamShards(const ActiveSave& save, io::AlignedBuffer memory)
    : save_(save), memory_(std::move(memory)), shards_(save.options.num_shards) {}

PlanOptions StreamShards::PlacingOf(const SaveOptions& options) {
  PlanOptions placing;
  placing.num_shards = options.num_shards;
  placing.alignment = options.alignment;
  placing.granule = options.memory_granule;
  return placing;
}

Status StreamShards::Add(const TensorView& tensor, Observer* observer, format::Entry& entry) {
  if (image_.shard == nullptr) TB_RETURN_IF_ERROR(StartImage());
  const bool is_large = tensor.size >= memory_.size() / 4;
  PlanTensor wanted{tensor.size, {}};
  if (is_large && !tensor.contiguous.empty() && !save_.options.snapshot) {
    wanted.address_residue =
        reinterpret_cast<uintptr_t>(tensor.contiguous.data()) % save_.options.memory_granule;
  }
  auto offset = PlaceAfter(image_.end, wanted, PlacingOf(save_.options));
  const auto fits = [&] {
    return *offset - image_.end <= kSmallGap &&
           *offset - image_.begin + tensor.size <= memory_.size();
  };
  if (offset && !is_large && !fits()) {
    TB_RETURN_IF_ERROR(Flush(nullptr, 0, observer).status());
    TB_RETURN_IF_ERROR(StartImage());
    offset = PlaceAfter(image_.end, wanted, PlacingOf(save_.options));
    if (offset && *offset - image_.end > kSmallGap) MoveImage(*offset);
  }
  if (!offset) return Status(Code::kLimitExceeded, "a shard would be larger than 2^63 bytes");
  entry.shard_id = static_cast<uint32_t>(image_.shard - shards_.data());
  entry.offset = *offset;
  if (!is_large) {
    return Collect(tensor, *offset, entry);
  }
  TB_ASSIGN_OR_RETURN(const auto crc, Flush(&tensor, *offset, observer));
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): Flush() has a large one
  entry.crc32c = checksum::Mask(tensor.crc.value_or(*crc));
  return Status();
}

MutableBytes StreamShards::ImageAt(uint64_t offset, uint64_t size) const {
  return memory_.bytes().subspan(offset - image_.begin, size);
}

Status StreamShards::Collect(const TensorView& tensor, uint64_t offset, format::Entry& entry) {
  const StageTimer timer(save_.report.stages.copy);
  std::ranges::fill(ImageAt(image_.end, offset - image_.end), std::byte{0});
  const MutableBytes out = ImageAt(offset, tensor.size);
  checksum::Crc32c crc;
  if (tensor.staged != nullptr) {
    TB_RETURN_IF_ERROR(tensor.staged->Read(0, out));
    crc = checksum::Extend(crc, out);
  } else {
    crc = checksum::ExtendCopy(crc, out, tensor.contiguous);
  }
  entry.crc32c = checksum::Mask(tensor.crc.value_or(crc));
  image_.end = offset + tensor.size;
  save_.report.staged_bytes += tensor.size;
  return Status();
}

// Behind what the shortest shard has: its last granule, if it is not full, comes first.
Status StreamShards::StartImage() {
  const auto shortest =
      std::min_element(shards_.begin(), shards_.end(),
                       [](const Shard& a, const Shard& b) { return a.end < b.end; });
  if (shortest->file == nullptr) {
    TB_ASSIGN_OR_RETURN(
        shortest->file,
        save_.publication.CreateShard(static_cast<uint32_t>(shortest - shards_.begin())));
  }
  image_ = {&*shortest, shortest->end - shortest->rest.size(), shortest->end};
  std::ranges::copy(shortest->rest, memory_.bytes().begin());
  return Status();
}

// To a place far behind what the shard has; what lies between is a hole.
//
// REQUIRES: nothing has been collected
void StreamShards::MoveImage(uint64_t offset) {
  const uint64_t begin = AlignDown(offset, GranuleOf(*image_.shard));
  if (begin < image_.end) return;
  image_.begin = begin;
  image_.end = begin;
}

// Writes the image, and behind it a large tensor, whose checksum it gives.
Result<std::optional<checksum::Crc32c>> StreamShards::Flush(const TensorView* large,
                                                            uint64_t offset,
                                                            Observer* observer) {
  Shard& shard = *image_.shard;
  std::vector<TensorView> tensors(1);
  tensors[0].size = image_.end - image_.begin;
  tensors[0].contiguous = ImageAt(image_.begin, tensors[0].size);
  Plan plan;
  plan.placements.push_back({0, image_.begin});
  std::vector<uint64_t> sizes = {tensors[0].size};
  uint64_t end = image_.end;
  if (large != nullptr) {
    tensors.push_back(Borrow(*large));
    plan.placements.push_back({0, offset});
    sizes.push_back(large->size);
    end = offset + large->size;
  }
  PlannedShard planned;
  for (uint32_t i = 0; i < tensors.size(); ++i) planned.tensors.push_back(i);
  planned.begin = image_.begin;
  planned.size = end;
  plan.shards.push_back(std::move(planned));

  uint64_t num_bytes = 0;
  for (const uint64_t size : sizes) num_bytes += size;
  // What is mostly a gap (a very large alignment) stays sparse.
  if ((end - image_.begin) / 2 <= num_bytes) TB_RETURN_IF_ERROR(shard.file->Allocate(end));
  const std::vector<Extent> extents = CutIntoExtents(plan, sizes);
  std::vector<ExtentResult> results(extents.size());
  SaveOptions options = save_.options;
  options.observer = observer;
  TB_RETURN_IF_ERROR(RunExtents(
      save_.storage, {save_.report.num_threads, extents.size(), num_bytes}, options,
      [&](size_t job, const WriteResources& resources, JobContext& context) -> Status {
        ExtentWriter writer(plan, tensors, resources, context);
        TB_ASSIGN_OR_RETURN(results[job], writer.Write(extents[job], *shard.file));
        return Status();
      },
      save_.report));
  std::vector<checksum::Crc32c> crcs(tensors.size());
  for (const ExtentResult& result : results) {
    AddParts(result.parts, crcs);
    for (size_t i = 0; i < result.parts.size(); ++i) {
      if (result.parts[i].tensor == 0) continue;  // what was counted when it was collected
      save_.report.zero_copy_bytes += result.zero_copy[i];
      save_.report.staged_bytes += result.parts[i].size - result.zero_copy[i];
    }
  }
  TB_RETURN_IF_ERROR(KeepRest(large, offset, end));
  image_ = Image();
  return large == nullptr ? std::nullopt : std::optional(crcs[1]);
}

// What the shard's last granule has, if it is not full: it will be written once more.
Status StreamShards::KeepRest(const TensorView* large, uint64_t offset, uint64_t end) {
  Shard& shard = *image_.shard;
  const uint64_t begin = AlignDown(end, GranuleOf(shard));
  std::vector<std::byte> rest(end - begin);
  const MutableBytes out(rest);
  const uint64_t from_image = std::max(begin, image_.begin);
  if (image_.end > from_image) {
    std::ranges::copy(ImageAt(from_image, image_.end - from_image),
                      out.subspan(from_image - begin).begin());
  }
  if (large != nullptr && end > begin) {
    const uint64_t from = std::max(begin, offset);
    if (from < end) {
      TB_RETURN_IF_ERROR(ReadBytes(*large, from - offset, out.subspan(from - begin)));
    }
  }
  shard.rest = std::move(rest);
  shard.end = end;
  return Status();
}

Status StreamShards::Finish(Observer* observer) {
  if (image_.shard == nullptr && shards_.front().file == nullptr) {
    TB_RETURN_IF_ERROR(StartImage());  // a bundle has a data file, though an empty one
  }
  if (image_.shard != nullptr) TB_RETURN_IF_ERROR(Flush(nullptr, 0, observer).status());
  return CloseShards(observer);
}

// Several at once: each waits for the device.
Status StreamShards::CloseShards(Observer* observer) {
  std::vector<Shard*> open;
  RunOptions run;
  for (Shard& shard : shards_) {
    if (shard.file == nullptr) continue;
    open.push_back(&shard);
    run.total_bytes += shard.end;
    save_.report.file_bytes += shard.end;
    if (shard.end > 0) ++save_.report.num_shards;
  }
  run.num_threads = std::min(save_.report.num_threads, open.size());
  run.observer = observer;
  const StageTimer timer(save_.report.stages.sync);
  return RunJobs(
      open.size(),
      [&](size_t index, JobContext&) -> Status {
        return save_.publication.FinishShard(*open[index]->file, open[index]->end);
      },
      run);
}

}  // namespace tensorbundle::engine
