#include "engine/stream_writer.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/alignment.h"
#include "base/text.h"
#include "engine/extent_run.h"
#include "engine/extents.h"
#include "engine/index_writer.h"
#include "engine/name_order.h"
#include "engine/part_checksum.h"
#include "format/slices.h"

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

format::Shape ShapeOf(const TensorView& tensor) {
  return {tensor.shape.begin(), tensor.shape.end()};
}

}  // namespace

StreamWriter::StreamWriter(std::shared_ptr<io::Storage> storage, const SaveOptions& options,
                           Coverage coverage, io::AlignedBuffer memory)
    : storage_(std::move(storage)),
      options_(options),
      coverage_(coverage),
      memory_(std::move(memory)) {}

Result<std::unique_ptr<StreamWriter>> StreamWriter::Open(std::shared_ptr<io::Storage> storage,
                                                         std::string prefix,
                                                         const SaveOptions& options,
                                                         Coverage coverage, uint64_t memory) {
  TB_ASSIGN_OR_RETURN(io::AlignedBuffer buffer, io::AlignedBuffer::Allocate(memory));
  std::unique_ptr<StreamWriter> writer(
      new StreamWriter(std::move(storage), options, coverage, std::move(buffer)));
  if (writer->options_.num_shards == 0) writer->options_.num_shards = kDefaultNumShards;
  TB_RETURN_IF_ERROR(CheckOptions(writer->Placing()));
  writer->shards_.resize(writer->options_.num_shards);
  writer->report_.num_threads = NumWriteThreads(options);
  TB_ASSIGN_OR_RETURN(writer->publication_,
                      Publication::Begin(*writer->storage_, std::move(prefix),
                                         writer->options_.num_shards, options.durability));
  writer->report_.plan_seconds = SecondsSince(writer->start_);
  return writer;
}

Status StreamWriter::CheckOpen() const {
  if (publication_ != nullptr) return Status();
  return Status(Code::kInvalidArgument, "the writer " + why_ended_);
}

Status StreamWriter::Add(const TensorView& tensor, Observer* observer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string name(tensor.name);
  TB_RETURN_IF_ERROR(CheckOpen().WithKey(name));
  TB_RETURN_IF_ERROR(CheckName(name, false));
  TB_RETURN_IF_ERROR(CheckNew(name));
  TB_RETURN_IF_ERROR(AddEntry(name, tensor, observer));
  ++report_.num_tensors;
  return Status();
}

Status StreamWriter::CheckNew(std::string_view name) const {
  const std::string key(name);
  const bool in_parts = parts_.contains(key);
  if (!in_parts && !entries_.contains(key)) return Status();
  return Status(Code::kAlreadyExists,
                in_parts ? "the name is given whole and in parts" : "the name is given twice")
      .WithKey(key);
}

Status StreamWriter::AddPart(const TensorView& part, const format::Shape& shape,
                             const format::Slice& slice, Observer* observer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return AddPartLocked(part, shape, slice, observer).WithKey(std::string(part.name));
}

Status StreamWriter::AddPartLocked(const TensorView& part, const format::Shape& shape,
                                   const format::Slice& slice, Observer* observer) {
  const std::string name(part.name);
  TB_RETURN_IF_ERROR(CheckOpen());
  TB_RETURN_IF_ERROR(CheckName(name, false));
  const auto place = BoxOf(slice, shape);
  if (!place.ok()) return AsArgumentError(place.status());
  if (place->size != ShapeOf(part)) {
    return Status(Code::kInvalidArgument,
                  "the part " + SliceText(slice) + " has elements of another shape");
  }
  if (IsWhole(slice, shape)) {
    TB_RETURN_IF_ERROR(CheckNew(name));
    TB_RETURN_IF_ERROR(AddEntry(name, part, observer));
    ++report_.num_tensors;
    return Status();
  }
  if (entries_.contains(name)) {
    return Status(Code::kAlreadyExists, "the name is given whole and in parts");
  }
  const std::string key = format::EncodeSliceKey(name, slice);
  TB_RETURN_IF_ERROR(CheckName(key, true));
  const auto [found, is_new] = parts_.try_emplace(name, Parts{part.dtype, PartSet(shape)});
  Parts& parts = found->second;
  if (parts.dtype != part.dtype || parts.set.shape() != shape) {
    return Status(Code::kInvalidArgument,
                  "the part is of another dtype or whole shape than the others");
  }
  Status status = AsArgumentError(parts.set.Add(slice));
  if (!status.ok()) {
    if (is_new) parts_.erase(found);
    return status;
  }
  if (is_new) ++report_.num_tensors;
  return AddEntry(key, part, observer);
}

Status StreamWriter::AddEntry(const std::string& key, const TensorView& tensor,
                              Observer* observer) {
  format::Entry entry;
  entry.dtype = tensor.dtype;
  entry.shape = ShapeOf(tensor);
  entry.size = tensor.size;
  const Clock::time_point start = Clock::now();
  Status status = Write(tensor, observer, entry);
  report_.write_seconds += SecondsSince(start);
  if (!status.ok()) return End(std::move(status).WithKey(NameOf(tensor)));
  report_.tensor_bytes += tensor.size;
  entries_.emplace(key, std::move(entry));
  return Status();
}

PlanOptions StreamWriter::Placing() const {
  PlanOptions placing;
  placing.num_shards = options_.num_shards;
  placing.alignment = options_.alignment;
  placing.granule = options_.memory_granule;
  return placing;
}

// Fills in where the tensor is, and its checksum.
Status StreamWriter::Write(const TensorView& tensor, Observer* observer,
                           format::Entry& entry) {
  if (image_.shard == nullptr) TB_RETURN_IF_ERROR(StartImage());
  const bool is_large = tensor.size >= memory_.size() / 4;
  PlanTensor wanted{tensor.size, {}};
  if (is_large && !tensor.contiguous.empty() && !options_.snapshot) {
    wanted.address_residue =
        reinterpret_cast<uintptr_t>(tensor.contiguous.data()) % options_.memory_granule;
  }
  auto offset = PlaceAfter(image_.end, wanted, Placing());
  const auto fits = [&] {
    return *offset - image_.end <= kSmallGap &&
           *offset - image_.begin + tensor.size <= memory_.size();
  };
  if (offset && !is_large && !fits()) {
    TB_RETURN_IF_ERROR(Flush(nullptr, 0, observer).status());
    TB_RETURN_IF_ERROR(StartImage());
    offset = PlaceAfter(image_.end, wanted, Placing());
    if (offset && *offset - image_.end > kSmallGap) MoveImage(*offset);
  }
  if (!offset) return Status(Code::kLimitExceeded, "a shard would be larger than 2^63 bytes");
  entry.shard_id = static_cast<uint32_t>(image_.shard - shards_.data());
  entry.offset = *offset;
  if (!is_large) {
    return Collect(tensor, *offset, entry);
  }
  TB_ASSIGN_OR_RETURN(const auto crc, Flush(&tensor, *offset, observer));
  entry.crc32c = checksum::Mask(tensor.crc.value_or(*crc));
  return Status();
}

MutableBytes StreamWriter::ImageAt(uint64_t offset, uint64_t size) const {
  return memory_.bytes().subspan(offset - image_.begin, size);
}

Status StreamWriter::Collect(const TensorView& tensor, uint64_t offset, format::Entry& entry) {
  const StageTimer timer(report_.stages.copy);
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
  report_.staged_bytes += tensor.size;
  return Status();
}

// Behind what the shortest shard has: its last granule, if it is not full, comes first.
Status StreamWriter::StartImage() {
  const auto shortest =
      std::min_element(shards_.begin(), shards_.end(),
                       [](const Shard& a, const Shard& b) { return a.end < b.end; });
  if (shortest->file == nullptr) {
    TB_ASSIGN_OR_RETURN(
        shortest->file,
        publication_->CreateShard(static_cast<uint32_t>(shortest - shards_.begin())));
  }
  image_ = {&*shortest, shortest->end - shortest->rest.size(), shortest->end};
  std::ranges::copy(shortest->rest, memory_.bytes().begin());
  return Status();
}

// To a place far behind what the shard has; what lies between is a hole.
//
// REQUIRES: nothing has been collected
void StreamWriter::MoveImage(uint64_t offset) {
  const uint64_t begin = AlignDown(offset, GranuleOf(*image_.shard));
  if (begin < image_.end) return;
  image_.begin = begin;
  image_.end = begin;
}

// Writes the image, and behind it a large tensor, whose checksum it gives.
Result<std::optional<checksum::Crc32c>> StreamWriter::Flush(const TensorView* large,
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
  SaveOptions options = options_;
  options.observer = observer;
  TB_RETURN_IF_ERROR(RunExtents(
      *storage_, {report_.num_threads, extents.size(), num_bytes}, options,
      [&](size_t job, const WriteResources& resources, JobContext& context) -> Status {
        ExtentWriter writer(plan, tensors, resources, context);
        TB_ASSIGN_OR_RETURN(results[job], writer.Write(extents[job], *shard.file));
        return Status();
      },
      report_));
  std::vector<checksum::Crc32c> crcs(tensors.size());
  for (const ExtentResult& result : results) {
    AddParts(result.parts, crcs);
    for (size_t i = 0; i < result.parts.size(); ++i) {
      if (result.parts[i].tensor == 0) continue;  // what was counted when it was collected
      report_.zero_copy_bytes += result.zero_copy[i];
      report_.staged_bytes += result.parts[i].size - result.zero_copy[i];
    }
  }
  TB_RETURN_IF_ERROR(KeepRest(large, offset, end));
  image_ = Image();
  return large == nullptr ? std::nullopt : std::optional(crcs[1]);
}

// What the shard's last granule has, if it is not full: it will be written once more.
Status StreamWriter::KeepRest(const TensorView* large, uint64_t offset, uint64_t end) {
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

Result<SaveReport> StreamWriter::Finish(Observer* observer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  TB_RETURN_IF_ERROR(CheckOpen());
  if (coverage_ == Coverage::kFull) {
    for (const auto& [name, parts] : parts_) {
      const Status status = parts.set.CheckCoverage();
      if (!status.ok()) return AsArgumentError(status).WithKey(name);
    }
  }
  Status status = PublishAll(observer);
  if (!status.ok()) return End(std::move(status));
  report_.seconds = SecondsSince(start_);
  SaveReport report = report_;
  static_cast<void>(End(Status()));
  return report;
}

Status StreamWriter::PublishAll(Observer* observer) {
  const Clock::time_point writing = Clock::now();
  if (image_.shard == nullptr && shards_.front().file == nullptr) {
    TB_RETURN_IF_ERROR(StartImage());  // a bundle has a data file, though an empty one
  }
  if (image_.shard != nullptr) TB_RETURN_IF_ERROR(Flush(nullptr, 0, observer).status());
  TB_RETURN_IF_ERROR(FinishShards(observer));
  report_.write_seconds += SecondsSince(writing);
  const Clock::time_point publishing = Clock::now();
  TB_RETURN_IF_ERROR(publication_->PublishShards());
  TB_RETURN_IF_ERROR(WriteIndex());
  TB_RETURN_IF_ERROR(publication_->Commit());
  report_.publish_seconds = SecondsSince(publishing);
  const Clock::time_point removing = Clock::now();
  publication_->RemoveReplaced();
  report_.remove_seconds = SecondsSince(removing);
  return Status();
}

// Several at once: each waits for the device.
Status StreamWriter::FinishShards(Observer* observer) {
  std::vector<Shard*> open;
  RunOptions run;
  for (Shard& shard : shards_) {
    if (shard.file == nullptr) continue;
    open.push_back(&shard);
    run.total_bytes += shard.end;
    report_.file_bytes += shard.end;
    if (shard.end > 0) ++report_.num_shards;
  }
  run.num_threads = std::min(report_.num_threads, open.size());
  run.observer = observer;
  const StageTimer timer(report_.stages.sync);
  return RunJobs(
      open.size(),
      [&](size_t index, JobContext&) -> Status {
        return publication_->FinishShard(*open[index]->file, open[index]->end);
      },
      run);
}

Status StreamWriter::WriteIndex() {
  for (auto& [name, parts] : parts_) {
    format::Entry entry;
    entry.dtype = parts.dtype;
    entry.shape = parts.set.shape();
    entry.slices = parts.set.slices();
    entries_.emplace(name, std::move(entry));
  }
  const auto fill = [this](IndexWriter& index) -> Status {
    TB_RETURN_IF_ERROR(index.AddHeader({.num_shards = publication_->num_shards()}));
    for (const auto& [key, entry] : entries_) TB_RETURN_IF_ERROR(index.Add(key, entry));
    return Status();
  };
  TB_ASSIGN_OR_RETURN(const uint64_t size, publication_->WriteIndex(fill));
  report_.file_bytes += size;
  return Status();
}

void StreamWriter::Abort() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (publication_ == nullptr) return;
  static_cast<void>(End(Status()));
  why_ended_ = "was aborted";
}

// Nothing can be added any more; what was not committed is removed.
Status StreamWriter::End(Status status) {
  why_ended_ = status.ok() ? "is finished" : "ended when this failed: " + status.ToString();
  is_open_ = false;
  for (Shard& shard : shards_) shard.file.reset();
  image_ = Image();
  publication_.reset();
  entries_.clear();
  parts_.clear();
  return status;
}

}  // namespace tensorbundle::engine
