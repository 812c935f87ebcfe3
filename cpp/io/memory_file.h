// The bytes of one file in memory, kept in chunks so that a sparse file is cheap.
//
// Shared by whoever has the file open and by the directory that names it.
//
// Threads: any thread may call any method.  Bytes that one thread writes while
// another reads or writes the same ones are the callers' mistake, as they are on a
// disk; everything else is guarded, and threads copy in parallel.

#pragma once

#include <cstdint>
#include <map>
#include <shared_mutex>

#include "base/bytes.h"
#include "base/result.h"
#include "io/aligned_buffer.h"

namespace tensorbundle::io {

// Below the size at which AlignedBuffer asks for huge pages: a small file takes up
// no more pages than it has bytes for.
constexpr uint64_t kSmallMemoryChunk = uint64_t{1} << 20;  // bytes

class MemoryFile {
 public:
  explicit MemoryFile(uint64_t chunk_size = kSmallMemoryChunk) : chunk_size_(chunk_size) {}

  uint64_t size() const;  // bytes

  // Fills the front of `out` from `offset` on; the number of bytes that were there.
  uint64_t ReadAt(uint64_t offset, MutableBytes out) const;

  // Errors: kSystem  ENOMEM
  //
  // REQUIRES: FitsInAFile(offset, bytes.size())
  Status WriteAt(uint64_t offset, Bytes bytes);

  // Lengthens the file with zeros, or drops its end.
  void Resize(uint64_t size);

  // Lengthens the file to `size` if it is shorter.
  void Extend(uint64_t size);

 private:
  // Makes the chunks that [offset, offset + size) touches, and that length.
  Status Reserve(uint64_t offset, uint64_t size);

  const uint64_t chunk_size_;                 // bytes
  mutable std::shared_mutex mutex_;           // held shared while bytes are copied
  std::map<uint64_t, AlignedBuffer> chunks_;  // by number; one that lacks is zeros
  uint64_t size_ = 0;
};

}  // namespace tensorbundle::io
