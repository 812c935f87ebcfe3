// A whole file mapped read-only into memory.
//
// MappedFile is a resource: it owns one mmap(2) region and is shared, never
// copied.  Whoever hands out a pointer into the region also holds the
// shared_ptr, so the region is unmapped after the last view has gone.  The file
// descriptor is closed once the region stands.
//
// Threads: immutable after Open(); any thread may call any method.
//
// Trust: offsets and sizes come from an index file, that is, from disk.  View()
// is the only way to the bytes.  It refuses a range that is not wholly inside
// the file, and its check cannot overflow.
//
// Not covered: a process that truncates the file while it is mapped makes the
// next read raise SIGBUS.  Our own writer never does that: it writes under a
// temporary name and renames (engine/commit.h).

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "io/file_identity.h"

namespace tensorbundle::io {

// kPrivate maps copy-on-write: writes are seen by this process only.
enum class MapAccess : uint8_t { kReadOnly, kPrivate };

class MappedFile {
 public:
  // Maps all of `path`.  An empty file gives an empty region.
  //
  // Errors: kSystem          open, fstat or mmap failed (ENOENT: no such file)
  //         kNotRegularFile  a directory, FIFO, socket or device (never blocks)
  static Result<std::shared_ptr<const MappedFile>> Open(
      const std::string& path, MapAccess access = MapAccess::kReadOnly);

  // A region of anonymous memory that stands for `file`, which it keeps alive, filled by
  // `fill`: what a storage without files maps.  Its identity is the address of `file`.
  //
  // Errors: kSystem  ENOMEM
  static Result<std::shared_ptr<const MappedFile>> FromMemory(
      const std::string& path, std::shared_ptr<const void> file, uint64_t size,
      const std::function<void(MutableBytes)>& fill);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  // The bytes [offset, offset + size).  Valid while this object lives.
  //
  // Errors: kOutOfBounds  the range is not wholly inside the file
  Result<Bytes> View(uint64_t offset, uint64_t size) const;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes
  FileIdentity identity() const { return identity_; }

 private:
  MappedFile(std::string path, std::byte* data, uint64_t size, FileIdentity identity,
             std::shared_ptr<const void> file);

  const std::string path_;
  std::byte* const data_;  // owned; null if and only if size_ is 0
  const uint64_t size_;
  const FileIdentity identity_;
  const std::shared_ptr<const void> file_;  // what it stands for, if not a file on disk
};

}  // namespace tensorbundle::io
