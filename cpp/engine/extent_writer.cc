#include "engine/extent_writer.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/alignment.h"

namespace tensorbundle::engine {
namespace {

// Pieces from here on are written straight from the caller's memory; smaller ones
// share a staging slot, since a system call costs as much as copying them.
constexpr uint64_t kZeroCopySize = 64u << 10;  // bytes

// Staged in blocks that stay in the second-level cache while they are checksummed.
constexpr uint64_t kStagedBlock = 256u << 10;  // bytes

// A gap up to this size is written as zeros along with its neighbours; a larger one (a
// large alignment) is left to the file, which reads as zeros where nothing was written, unless
// it is reused.
constexpr uint64_t kSmallGap = 64u << 10;  // bytes

}  // namespace

Result<ExtentResult> ExtentWriter::Write(const Extent& extent, io::WritableFile& file) {
  const Clock::time_point start = Clock::now();
  const TransferSeconds before = *resources_.seconds;
  file_ = &file;
  granule_ = file.granule();
  position_ = extent.begin;
  staged_ = 0;
  result_ = ExtentResult();
  Status status = WriteAll(extent);
  // Waits in any case: the memory in flight is about to be given back.
  Status rest = resources_.queue->WaitAll();
  AddCopySeconds(SecondsSince(start), before);
  // A queue that breaks down serves many files, and knows of none.
  TB_RETURN_IF_ERROR(std::move(status).WithPath(file.path()));
  TB_RETURN_IF_ERROR(std::move(rest).WithShard(extent.shard).WithPath(file.path()));
  return std::move(result_);
}

// What was neither checksum nor transfer was copying: tensors may be too small to time one
// by one.
void ExtentWriter::AddCopySeconds(double elapsed, const TransferSeconds& before) {
  TransferSeconds& now = *resources_.seconds;
  const double others =
      now.checksum - before.checksum + now.submit - before.submit + now.wait - before.wait;
  now.copy += std::max(0.0, elapsed - others);
}

void ExtentWriter::AddChecksum(Bytes block, PartChecksum& part) {
  const StageTimer timer(resources_.seconds->checksum);
  part.crc = checksum::Extend(part.crc, block);
}

Status ExtentWriter::WriteAll(const Extent& extent) {
  const std::vector<uint32_t>& order = plan_.shards[extent.shard].tensors;
  for (uint32_t i = extent.first_tensor; i < extent.end_tensor; ++i) {
    const TensorView& tensor = tensors_[order[i]];
    if (tensor.size == 0) continue;
    const uint64_t offset = plan_.placements[order[i]].offset;
    const uint64_t begin = std::max(offset, extent.begin);
    const uint64_t end = std::min(offset + tensor.size, extent.end);
    PartChecksum part{order[i], end - begin, {}};
    TB_RETURN_IF_ERROR(StageGap(begin - position_));
    const uint64_t zero_copy_before = result_.zero_copy_bytes;
    Status status = WritePart(tensor, offset, end, part);
    if (!status.ok()) {
      return std::move(status).WithKey(NameOf(tensor)).WithShard(extent.shard);
    }
    result_.parts.push_back(part);
    result_.zero_copy.push_back(result_.zero_copy_bytes - zero_copy_before);
    context_.AddDone(part.size);
  }
  if (file_->is_reused()) TB_RETURN_IF_ERROR(StageZeros(extent.end - position_));
  TB_RETURN_IF_ERROR(PadToGranule());
  return Flush();
}

Status ExtentWriter::WritePart(const TensorView& tensor, uint64_t offset, uint64_t end,
                               PartChecksum& part) {
  const uint64_t begin = position_;
  const uint64_t run_begin = AlignUp(begin, granule_.offset);
  const uint64_t run_end = AlignDown(end, granule_.offset);
  const bool can_run =
      tensor.staged == nullptr && !resources_.stage_all &&
      run_end >= run_begin + kZeroCopySize &&
      IsAligned(tensor.contiguous.data() + (run_begin - offset), granule_.memory) &&
      WritesWell(tensor.contiguous.subspan(run_begin - offset, run_end - run_begin));
  if (!can_run) return Stage(tensor, begin - offset, end - offset, part);
  TB_RETURN_IF_ERROR(Stage(tensor, begin - offset, run_begin - offset, part));
  TB_RETURN_IF_ERROR(Flush());
  TB_RETURN_IF_ERROR(WriteFromMemory(
      tensor.contiguous.subspan(run_begin - offset, run_end - run_begin), part));
  return Stage(tensor, run_end - offset, end - offset, part);
}

// One page tells: a tensor's memory is of one kind but for its ends.
bool ExtentWriter::WritesWell(Bytes run) const {
  if (resources_.huge_pages == nullptr || !file_->prefers_huge_pages()) return true;
  return resources_.huge_pages->MayHold(run.data() + run.size() / 2);
}

Status ExtentWriter::WriteFromMemory(Bytes bytes, PartChecksum& part) {
  const bool buffered = granule_.offset == 1;
  while (!bytes.empty()) {
    TB_RETURN_IF_ERROR(context_.CheckStopped());
    const Bytes block = bytes.first(std::min<size_t>(bytes.size(), resources_.block_size));
    if (buffered) AddChecksum(block, part);
    TB_RETURN_IF_ERROR(resources_.queue->SubmitWrite(*file_, position_, block).status());
    if (!buffered) AddChecksum(block, part);
    position_ += block.size();
    result_.zero_copy_bytes += block.size();
    bytes = bytes.subspan(block.size());
  }
  return Status();
}

Status ExtentWriter::Stage(const TensorView& tensor, uint64_t begin, uint64_t end,
                           PartChecksum& part) {
  while (begin < end) {
    TB_ASSIGN_OR_RETURN(const MutableBytes room, StagingRoom());
    // In blocks, so that the checksum finds the copy in cache.
    const uint64_t block_size =
        tensor.staged != nullptr ? tensor.staged->block_size() : kStagedBlock;
    const size_t size = std::min<uint64_t>({room.size(), end - begin, block_size});
    const MutableBytes block = room.first(size);
    if (tensor.staged != nullptr) {
      TB_RETURN_IF_ERROR(tensor.staged->Read(begin, block));
      part.crc = checksum::Extend(part.crc, block);
    } else {
      part.crc = checksum::ExtendCopy(part.crc, block, tensor.contiguous.subspan(begin, size));
    }
    Staged(size);
    begin += size;
    result_.staged_bytes += size;
  }
  return Status();
}

Status ExtentWriter::StageGap(uint64_t size) {
  if (size > kSmallGap && !file_->is_reused()) {
    const uint64_t before = position_;
    TB_RETURN_IF_ERROR(PadToGranule());
    TB_RETURN_IF_ERROR(Flush());
    size -= position_ - before;
    const uint64_t hole = AlignDown(size, granule_.offset);
    position_ += hole;
    size -= hole;
  }
  return StageZeros(size);
}

Status ExtentWriter::StageZeros(uint64_t size) {
  while (size > 0) {
    TB_ASSIGN_OR_RETURN(const MutableBytes room, StagingRoom());
    const size_t count = std::min<uint64_t>(room.size(), size);
    std::memset(room.data(), 0, count);
    Staged(count);
    size -= count;
  }
  return Status();
}

// A device takes whole granules; the file is cut to its true size in the end.
Status ExtentWriter::PadToGranule() {
  return StageZeros(AlignUp(position_, granule_.offset) - position_);
}

// What is left of the slot being filled; never empty.
Result<MutableBytes> ExtentWriter::StagingRoom() {
  if (staged_ == slot_size_) TB_RETURN_IF_ERROR(Flush());
  if (staged_ == 0) TB_RETURN_IF_ERROR(resources_.queue->Wait(tickets_[slot_]));
  return resources_.staging.subspan(slot_ * slot_size_ + staged_, slot_size_ - staged_);
}

void ExtentWriter::Staged(size_t size) {
  staged_ += size;
  position_ += size;
}

// Writes the slot and goes on to the next.
Status ExtentWriter::Flush() {
  TB_RETURN_IF_ERROR(context_.CheckStopped());
  if (staged_ == 0) return Status();
  const Bytes slot = resources_.staging.subspan(slot_ * slot_size_, staged_);
  TB_ASSIGN_OR_RETURN(tickets_[slot_],
                      resources_.queue->SubmitWrite(*file_, position_ - staged_, slot));
  slot_ = (slot_ + 1) % kStagingSlots;
  staged_ = 0;
  return Status();
}

}  // namespace tensorbundle::engine
