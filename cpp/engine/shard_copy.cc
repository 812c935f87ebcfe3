#include "engine/shard_copy.h"

#include <algorithm>

#include "base/alignment.h"
#include "io/aligned_buffer.h"

namespace tensorbundle::engine {
namespace {

constexpr uint64_t kCopyBlock = 1u << 20;  // bytes: a multiple of any device's granule

}  // namespace

Result<uint64_t> CopyShard(io::Storage& storage, const std::string& path, uint32_t shard,
                           Publication& publication, const JobContext& context) {
  TB_ASSIGN_OR_RETURN(const auto source, storage.OpenForRead(path));
  TB_ASSIGN_OR_RETURN(const auto target, publication.CreateShard(shard));
  const uint64_t size = source->size();
  TB_RETURN_IF_ERROR(target->Allocate(size));
  TB_ASSIGN_OR_RETURN(const auto buffer, io::AlignedBuffer::Allocate(kCopyBlock));
  for (uint64_t offset = 0; offset < size; offset += kCopyBlock) {
    TB_RETURN_IF_ERROR(context.CheckStopped());
    const uint64_t count = std::min(kCopyBlock, size - offset);
    TB_RETURN_IF_ERROR(source->ReadAt(offset, buffer.bytes().first(count)));
    // Whole granules: what goes beyond the end is cut off below.
    const uint64_t whole = AlignUp(count, target->granule().offset);
    TB_RETURN_IF_ERROR(target->WriteAt(offset, buffer.bytes().first(whole)));
  }
  TB_RETURN_IF_ERROR(publication.FinishShard(*target, size));
  return size;
}

}  // namespace tensorbundle::engine
