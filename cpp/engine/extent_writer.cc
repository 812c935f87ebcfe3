#include "engine/extent_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tensorbundle::engine {
namespace {

// Pieces from here on are written straight from the caller's memory; smaller ones
// share a staging buffer, since a system call costs as much as copying them.
constexpr uint64_t kZeroCopySize = 64u << 10;  // bytes

// Checksummed, then written, while it is in the second-level cache.
constexpr uint64_t kWriteBlock = 256u << 10;  // bytes

}  // namespace

Result<ExtentResult> ExtentWriter::Write(const Extent& extent, io::WritableFile& file) {
  file_ = &file;
  position_ = extent.begin;
  staged_ = 0;
  result_ = ExtentResult();
  const std::vector<uint32_t>& order = plan_.shards[extent.shard].tensors;
  for (uint32_t i = extent.first_tensor; i < extent.end_tensor; ++i) {
    const TensorView& tensor = tensors_[order[i]];
    if (tensor.size == 0) continue;
    const uint64_t offset = plan_.placements[order[i]].offset;
    const uint64_t begin = std::max(offset, extent.begin);
    const uint64_t end = std::min(offset + tensor.size, extent.end);
    PartChecksum part{order[i], end - begin, {}};
    TB_RETURN_IF_ERROR(StageGap(begin - position_));
    TB_RETURN_IF_ERROR(WritePart(tensor, offset, begin, end, part)
                           .WithKey(tensor.name)
                           .WithShard(extent.shard));
    result_.parts.push_back(part);
    context_.AddDone(part.size);
  }
  TB_RETURN_IF_ERROR(Flush());
  return std::move(result_);
}

Status ExtentWriter::WritePart(const TensorView& tensor, uint64_t offset, uint64_t begin,
                               uint64_t end, PartChecksum& part) {
  const uint64_t size = end - begin;
  if (tensor.staged != nullptr || size < kZeroCopySize) {
    return Stage(tensor, begin - offset, end - offset, part);
  }
  TB_RETURN_IF_ERROR(Flush());
  return WriteFromMemory(tensor.contiguous.subspan(begin - offset, size), part);
}

Status ExtentWriter::WriteFromMemory(Bytes bytes, PartChecksum& part) {
  while (!bytes.empty()) {
    TB_RETURN_IF_ERROR(context_.CheckStopped());
    const Bytes block = bytes.first(std::min<size_t>(bytes.size(), kWriteBlock));
    part.crc = checksum::Extend(part.crc, block);
    TB_RETURN_IF_ERROR(file_->WriteAt(position_, block));
    position_ += block.size();
    result_.zero_copy_bytes += block.size();
    bytes = bytes.subspan(block.size());
  }
  return Status();
}

Status ExtentWriter::Stage(const TensorView& tensor, uint64_t begin, uint64_t end,
                           PartChecksum& part) {
  while (begin < end) {
    if (staged_ == staging_.size()) TB_RETURN_IF_ERROR(Flush());
    const size_t room = std::min<size_t>(staging_.size() - staged_, kWriteBlock);
    const size_t size = std::min<uint64_t>(room, end - begin);
    const MutableBytes block = staging_.subspan(staged_, size);
    if (tensor.staged != nullptr) {
      tensor.staged->Read(begin, block);
      part.crc = checksum::Extend(part.crc, block);
    } else {
      part.crc = checksum::ExtendCopy(part.crc, block, tensor.contiguous.subspan(begin, size));
    }
    staged_ += size;
    position_ += size;
    begin += size;
    result_.staged_bytes += size;
  }
  return Status();
}

// A gap is a few zeros between tensors, cheaper written along with them than cut
// around; a large one (a large alignment) is left to the file, which reads as zeros.
Status ExtentWriter::StageGap(uint64_t size) {
  if (size > staging_.size() - staged_) {
    TB_RETURN_IF_ERROR(Flush());
    position_ += size;
    return Status();
  }
  if (staged_ > 0) {
    std::memset(staging_.data() + staged_, 0, size);
    staged_ += size;
  }
  position_ += size;
  return Status();
}

Status ExtentWriter::Flush() {
  TB_RETURN_IF_ERROR(context_.CheckStopped());
  if (staged_ == 0) return Status();
  TB_RETURN_IF_ERROR(file_->WriteAt(position_ - staged_, staging_.first(staged_)));
  staged_ = 0;
  return Status();
}

}  // namespace tensorbundle::engine
