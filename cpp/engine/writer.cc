#include "engine/writer.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "engine/extent_run.h"
#include "engine/extent_writer.h"
#include "engine/extents.h"
#include "engine/incremental.h"
#include "engine/index_writer.h"
#include "engine/job_order.h"
#include "engine/name_order.h"
#include "engine/plan.h"
#include "engine/shared_file.h"
#include "engine/thread_pool.h"
#include "format/entry.h"
#include "format/naming.h"
#include "format/table.h"

namespace tensorbundle::engine {
namespace {

// Tensors from here on are placed congruently: the gap costs up to a granule each.
constexpr uint64_t kCongruentSize = 64u << 10;  // bytes

class SaveOperation {
 public:
  SaveOperation(io::Storage& storage, const std::string& prefix,
                std::span<const TensorView> tensors, const SaveOptions& options,
                std::span<const PartitionedTensor> in_parts)
      : storage_(storage),
        prefix_(prefix),
        tensors_(tensors),
        in_parts_(in_parts),
        options_(options) {}

  Result<SaveReport> Run() {
    const Clock::time_point start = Clock::now();
    TB_ASSIGN_OR_RETURN(const std::vector<uint32_t> by_name, OrderByName(tensors_, in_parts_));
    TB_RETURN_IF_ERROR(PrepareIncremental(by_name));
    TB_RETURN_IF_ERROR(Begin());
    report_.plan_seconds = SecondsSince(start) - report_.fingerprint_seconds;
    const Clock::time_point writing = Clock::now();
    TB_RETURN_IF_ERROR(WriteShards());
    report_.write_seconds = SecondsSince(writing);
    report_.recycled_bytes = publication_->reused_bytes();
    const Clock::time_point publishing = Clock::now();
    TB_RETURN_IF_ERROR(publication_->PublishShards());
    TB_RETURN_IF_ERROR(WriteIndex(by_name));
    TB_RETURN_IF_ERROR(publication_->Commit());
    report_.publish_seconds = SecondsSince(publishing);
    const Clock::time_point removing = Clock::now();
    publication_->RemoveReplaced();
    report_.remove_seconds = SecondsSince(removing);
    report_.seconds = SecondsSince(start);
    return report_;
  }

 private:
  Status PrepareIncremental(const std::vector<uint32_t>& by_name) {
    report_.num_threads = NumWriteThreads(options_);
    if (options_.previous.empty()) return Status();
    if (options_.snapshot) {
      return Status(Code::kInvalidArgument,
                    "an incremental save reads tensors twice, so they must not change");
    }
    const StageTimer timer(report_.fingerprint_seconds);
    TB_ASSIGN_OR_RETURN(
        incremental_,
        Incremental::Prepare(storage_, options_.previous, tensors_, by_name,
                             options_.alignment, {report_.num_threads, options_.observer}));
    return Status();
  }

  Status Begin() {
    TB_RETURN_IF_ERROR(MakePlanAndExtents());
    const auto num_written = static_cast<uint32_t>(plan_.shards.size());
    const auto num_shared =
        static_cast<uint32_t>(incremental_ != nullptr ? incremental_->shared().size() : 0);
    TB_ASSIGN_OR_RETURN(publication_,
                        Publication::Begin(storage_, prefix_, num_written + num_shared,
                                           options_.durability, options_.spares));
    if (num_shared == 0) return Status();
    const Status adopted = incremental_->Adopt(*publication_, num_written);
    if (!adopted.ok()) {
      // Everything is written instead: what stands in the way of a link need not stand in
      // the way of a file.
      incremental_->GiveUp(adopted.ToString());
      publication_.reset();
      return Begin();
    }
    for (const SharedShard& shard : incremental_->shared()) report_.linked_bytes += shard.size;
    report_.file_bytes += report_.linked_bytes;
    report_.num_shards += num_shared;
    return Status();
  }

  // Where a tensor is that is not written; null for one that is.
  const StoredTensor* Kept(uint32_t tensor) const {
    if (incremental_ == nullptr) return nullptr;
    const auto& kept = incremental_->Kept(tensor);
    return kept.has_value() ? &*kept : nullptr;
  }

  Group GroupOf(uint32_t tensor) const {
    if (Kept(tensor) != nullptr) return Group::kElsewhere;
    const bool is_steady = incremental_ != nullptr && incremental_->IsUnchanged(tensor);
    return is_steady ? Group::kSteady : Group::kChanging;
  }

  // May be called again, for another plan.
  Status MakePlanAndExtents() {
    std::vector<PlanTensor> wanted(tensors_.size());
    std::vector<uint64_t> sizes(tensors_.size());
    report_.tensor_bytes = 0;
    for (uint32_t i = 0; i < tensors_.size(); ++i) {
      wanted[i] = {tensors_[i].size, ResidueOf(tensors_[i]), GroupOf(i)};
      sizes[i] = tensors_[i].size;
      report_.tensor_bytes += sizes[i];
    }
    PlanOptions plan_options;
    plan_options.alignment = options_.alignment;
    plan_options.granule = options_.memory_granule;
    plan_options.num_shards =
        options_.num_shards != 0 ? options_.num_shards : kDefaultNumShards;
    TB_ASSIGN_OR_RETURN(plan_, MakePlan(wanted, plan_options));
    extents_ = CutIntoExtents(plan_, sizes);
    results_ = std::vector<ExtentResult>(extents_.size());
    shards_ = std::vector<SharedFile<io::WritableFile>>(plan_.shards.size());
    for (const Extent& extent : extents_) shards_[extent.shard].AddJob();
    jobs_ = OrderJobs(plan_, extents_, tensors_);
    report_.num_tensors = in_parts_.size();
    for (const TensorView& tensor : tensors_) report_.num_tensors += tensor.is_part ? 0 : 1;
    report_.file_bytes = report_.num_shards = 0;
    for (const PlannedShard& shard : plan_.shards) {
      report_.file_bytes += shard.size;
      if (shard.size > 0) ++report_.num_shards;
    }
    return Status();
  }

  bool HasBorrowed() const {
    return std::any_of(tensors_.begin(), tensors_.end(),
                       [](const TensorView& tensor) { return tensor.borrowed; });
  }

  // Where a large tensor lies, so that its place in the file can be congruent.
  std::optional<uint64_t> ResidueOf(const TensorView& tensor) const {
    if (tensor.contiguous.size() < kCongruentSize || options_.snapshot) return std::nullopt;
    return reinterpret_cast<uintptr_t>(tensor.contiguous.data()) % options_.memory_granule;
  }

  Status WriteShards() {
    const bool none_is_written = jobs_.num_borrowed == 0 && HasBorrowed();
    if (none_is_written && options_.on_borrowed_written) options_.on_borrowed_written();
    if (extents_.empty()) return Status();
    return RunExtents(
        storage_, {report_.num_threads, extents_.size(), report_.tensor_bytes}, options_,
        [&](size_t job, const WriteResources& resources, JobContext& context) {
          return WriteJob(job, resources, context);
        },
        report_);
  }

  Status WriteJob(size_t job, const WriteResources& resources, JobContext& context) {
    TB_RETURN_IF_ERROR(WriteExtent(jobs_.extents[job], resources, context));
    const bool last = job < jobs_.num_borrowed && ++borrowed_written_ == jobs_.num_borrowed;
    if (last && options_.on_borrowed_written) options_.on_borrowed_written();
    return Status();
  }

  Status WriteExtent(size_t index, const WriteResources& resources, JobContext& context) {
    const Extent& extent = extents_[index];
    SharedFile<io::WritableFile>& shard = shards_[extent.shard];
    double& sync_seconds = resources.seconds->sync;
    TB_ASSIGN_OR_RETURN(io::WritableFile* const file,
                        shard.Get([&] { return OpenShard(extent.shard, sync_seconds); }));
    ExtentWriter writer(plan_, tensors_, resources, context);
    TB_ASSIGN_OR_RETURN(results_[index], writer.Write(extent, *file));
    const std::unique_ptr<io::WritableFile> written = shard.FinishJob();
    if (written == nullptr) return Status();
    const StageTimer timer(sync_seconds);
    return publication_->FinishShard(*written, plan_.shards[extent.shard].size);
  }

  Result<std::unique_ptr<io::WritableFile>> OpenShard(uint32_t index, double& seconds) {
    const StageTimer timer(seconds);
    const uint64_t size = plan_.shards[index].size;
    const bool is_sparse = IsSparse(index);
    TB_ASSIGN_OR_RETURN(auto file, publication_->CreateShard(index, is_sparse ? 0 : size));
    if (!is_sparse) TB_RETURN_IF_ERROR(file->Allocate(size));
    return file;
  }

  // Whether the file is mostly gaps (a very large alignment), and is to stay so.
  bool IsSparse(uint32_t index) const {
    const PlannedShard& shard = plan_.shards[index];
    uint64_t bytes = 0;
    for (const uint32_t tensor : shard.tensors) bytes += tensors_[tensor].size;
    return shard.size / 2 > bytes;
  }

  // The checksum of each tensor: of its parts, one after the other.
  std::vector<checksum::Crc32c> CombineChecksums() {
    std::vector<checksum::Crc32c> crcs(tensors_.size());
    for (const ExtentResult& result : results_) {
      AddParts(result.parts, crcs);
      report_.zero_copy_bytes += result.zero_copy_bytes;
      report_.staged_bytes += result.staged_bytes;
    }
    return crcs;
  }

  Status WriteIndex(const std::vector<uint32_t>& by_name) {
    std::optional<checksum::Fingerprinter> fingerprinter;
    if (incremental_ != nullptr) fingerprinter = incremental_->StartIndex();
    TB_ASSIGN_OR_RETURN(
        const uint64_t size,
        publication_->WriteIndex([&](IndexWriter& index) { return FillIndex(by_name, index); },
                                 fingerprinter.has_value() ? &*fingerprinter : nullptr));
    report_.file_bytes += size;
    if (!fingerprinter.has_value()) return Status();
    report_.incremental_reason = incremental_->reason();
    const std::string list = incremental_->Encode(size, fingerprinter->value());
    report_.file_bytes += list.size();
    return publication_->WriteFingerprints(AsBytes(list));
  }

  Status FillIndex(const std::vector<uint32_t>& by_name, IndexWriter& index) {
    const std::vector<checksum::Crc32c> crcs = CombineChecksums();
    TB_RETURN_IF_ERROR(index.AddHeader({.num_shards = publication_->num_shards()}));
    format::Entry entry;  // one for all, for its memory
    for (const uint32_t i : by_name) {
      if (i >= tensors_.size()) {
        const PartitionedTensor& tensor = in_parts_[i - tensors_.size()];
        TB_RETURN_IF_ERROR(index.Add(tensor.name, tensor.entry));
        continue;
      }
      SetEntry(i, crcs[i], entry);
      TB_RETURN_IF_ERROR(index.Add(tensors_[i].name, entry));
    }
    return Status();
  }

  void SetEntry(uint32_t index, checksum::Crc32c crc, format::Entry& entry) const {
    const TensorView& tensor = tensors_[index];
    entry.dtype = tensor.dtype;
    entry.shape.assign(tensor.shape.begin(), tensor.shape.end());
    entry.shard_id = plan_.placements[index].shard;
    entry.offset = plan_.placements[index].offset;
    entry.size = tensor.size;
    entry.crc32c = checksum::Mask(tensor.crc.value_or(crc));
    if (const StoredTensor* const kept = Kept(index)) {
      entry.shard_id = static_cast<uint32_t>(plan_.shards.size()) + kept->shard;
      entry.offset = kept->offset;
      entry.crc32c = kept->crc;
    }
  }

  io::Storage& storage_;
  const std::string& prefix_;
  const std::span<const TensorView> tensors_;
  const std::span<const PartitionedTensor> in_parts_;
  const SaveOptions& options_;
  SaveReport report_;
  std::unique_ptr<Incremental> incremental_;  // null unless asked for
  Plan plan_;
  std::vector<Extent> extents_;
  JobOrder jobs_;
  std::atomic<size_t> borrowed_written_ = 0;
  std::vector<ExtentResult> results_;  // one per extent
  // Before the shards, so that on failure their files are closed, then removed.
  std::unique_ptr<Publication> publication_;
  std::vector<SharedFile<io::WritableFile>> shards_;
};

}  // namespace

Result<SaveReport> Save(io::Storage& storage, const std::string& prefix,
                        std::span<const TensorView> tensors, const SaveOptions& options,
                        std::span<const PartitionedTensor> in_parts) {
  return SaveOperation(storage, prefix, tensors, options, in_parts).Run();
}

}  // namespace tensorbundle::engine
