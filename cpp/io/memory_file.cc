#include "io/memory_file.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "io/file_faults.h"

namespace tensorbundle::io {
namespace {

// Calls `copy(chunk number, offset in it, position in the range, size)` for each
// chunk that [offset, offset + size) touches.
template <typename Copy>
void ForEachChunk(uint64_t chunk_size, uint64_t offset, uint64_t size, Copy copy) {
  for (uint64_t done = 0; done < size;) {
    const uint64_t start = (offset + done) % chunk_size;
    const uint64_t part = std::min(size - done, chunk_size - start);
    copy((offset + done) / chunk_size, start, done, part);
    done += part;
  }
}

}  // namespace

uint64_t MemoryFile::size() const {
  const std::shared_lock guard(mutex_);
  return size_;
}

uint64_t MemoryFile::ReadAt(uint64_t offset, MutableBytes out) const {
  const std::shared_lock guard(mutex_);
  const uint64_t size = std::min<uint64_t>(out.size(), AvailableFrom(offset, size_));
  ForEachChunk(chunk_size_, offset, size,
               [&](uint64_t number, uint64_t start, uint64_t at, uint64_t part) {
                 const auto chunk = chunks_.find(number);
                 if (chunk == chunks_.end()) {
                   std::memset(out.subspan(at).data(), 0, part);
                 } else {
                   std::memcpy(out.subspan(at).data(),
                               chunk->second.bytes().subspan(start).data(), part);
                 }
               });
  return size;
}

Status MemoryFile::WriteAt(uint64_t offset, Bytes bytes) {
  TB_RETURN_IF_ERROR(Reserve(offset, bytes.size()));
  const std::shared_lock guard(mutex_);
  ForEachChunk(chunk_size_, offset, bytes.size(),
               [&](uint64_t number, uint64_t start, uint64_t at, uint64_t part) {
                 const auto chunk = chunks_.find(number);
                 if (chunk == chunks_.end()) return;  // cut off by a Resize() meanwhile
                 std::memcpy(chunk->second.bytes().subspan(start).data(),
                             bytes.subspan(at).data(), part);
               });
  return Status();
}

Status MemoryFile::Reserve(uint64_t offset, uint64_t size) {
  const std::unique_lock guard(mutex_);
  const uint64_t end = offset + size;
  for (uint64_t number = offset / chunk_size_; number * chunk_size_ < end; ++number) {
    if (chunks_.contains(number)) continue;
    // Cheap under the lock: the kernel makes the pages when they are first written.
    TB_ASSIGN_OR_RETURN(AlignedBuffer chunk, AlignedBuffer::Allocate(chunk_size_));
    chunks_.emplace(number, std::move(chunk));
  }
  size_ = std::max(size_, end);
  return Status();
}

void MemoryFile::Resize(uint64_t size) {
  const std::unique_lock guard(mutex_);
  if (size < size_) {
    // What is cut off must read as zeros if the file grows again.
    const auto last = chunks_.find(size / chunk_size_);
    if (last != chunks_.end()) {
      const MutableBytes cut = last->second.bytes().subspan(size % chunk_size_);
      std::memset(cut.data(), 0, cut.size());
    }
    chunks_.erase(chunks_.lower_bound(size / chunk_size_ + 1), chunks_.end());
  }
  size_ = size;
}

void MemoryFile::Extend(uint64_t size) {
  const std::unique_lock guard(mutex_);
  size_ = std::max(size_, size);
}

}  // namespace tensorbundle::io
