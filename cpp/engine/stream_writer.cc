#include "engine/stream_writer.h"

#include <utility>

#include "engine/extent_run.h"
#include "engine/index_writer.h"
#include "engine/name_order.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

format::Shape ShapeOf(const TensorView& tensor) {
  return {tensor.shape.begin(), tensor.shape.end()};
}

}  // namespace

StreamWriter::StreamWriter(std::shared_ptr<io::Storage> storage, const SaveOptions& options,
                           Coverage coverage)
    : storage_(std::move(storage)), options_(options), coverage_(coverage) {}

Result<std::unique_ptr<StreamWriter>> StreamWriter::Open(std::shared_ptr<io::Storage> storage,
                                                         std::string prefix,
                                                         const SaveOptions& options,
                                                         Coverage coverage, uint64_t memory) {
  TB_ASSIGN_OR_RETURN(io::AlignedBuffer buffer, io::AlignedBuffer::Allocate(memory));
  std::unique_ptr<StreamWriter> writer(
      new StreamWriter(std::move(storage), options, coverage));
  if (writer->options_.num_shards == 0) writer->options_.num_shards = kDefaultNumShards;
  TB_RETURN_IF_ERROR(CheckOptions(StreamShards::PlacingOf(writer->options_)));
  writer->report_.num_threads = NumWriteThreads(options);
  TB_ASSIGN_OR_RETURN(writer->publication_,
                      Publication::Begin(*writer->storage_, std::move(prefix),
                                         writer->options_.num_shards, options.durability));
  const StreamShards::ActiveSave save = {*writer->storage_, *writer->publication_,
                                         writer->options_, writer->report_};
  writer->shards_ = std::make_unique<StreamShards>(save, std::move(buffer));
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
  Status status = shards_->Add(tensor, observer, entry);
  report_.write_seconds += SecondsSince(start);
  if (!status.ok()) return End(std::move(status).WithKey(NameOf(tensor)));
  report_.tensor_bytes += tensor.size;
  entries_.emplace(key, std::move(entry));
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
  TB_RETURN_IF_ERROR(shards_->Finish(observer));
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
  shards_.reset();
  publication_.reset();
  entries_.clear();
  parts_.clear();
  return status;
}

}  // namespace tensorbundle::engine
