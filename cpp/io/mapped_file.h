// A whole file in memory: mapped, or read into a region of its own.
//
// MappedFile is a resource: it owns one mmap(2) region and is shared, never
// copied.  Whoever hands out a pointer into the region also holds the
// shared_ptr, so the region is unmapped after the last view has gone.  The file
// descriptor is closed once the region is mapped; a copy keeps it, as a map keeps the
// file: or else another file could get the same identity.
//
// Threads: immutable after Open(); any thread may call any method.
//
// Trust: offsets and sizes come from an index file, that is, from disk.  View()
// is the only way to the bytes.  It refuses a range that is not wholly inside
// the file, and its check cannot overflow.
//
// Not covered: a process that truncates the file while it is mapped makes the
// next read raise SIGBUS, and so does a disk or a server that fails to give a page.  Our
// own writer never truncates: it writes under a temporary name and renames
// (engine/commit.h).  A copy has neither trouble.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "io/file_identity.h"
#include "io/map_advice.h"

namespace tensorbundle::io {

struct RegularFile;  // io/posix_calls.h

// kPrivate maps copy-on-write: writes are seen by this process only.  kCopy does not map
// but reads all of the file.
enum class MapAccess : uint8_t { kReadOnly, kPrivate, kCopy };

class MappedFile {
 public:
  // Maps all of `path`.  An empty file gives an empty region.
  //
  // Errors: kSystem          open, fstat, mmap or pread failed (ENOENT: no such file)
  //         kNotRegularFile  a directory, FIFO, socket or device (never blocks)
  //         kConcurrentModification  the file shrank while it was read
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

  // Tells the kernel how those bytes, and the pages they share with others, will be used.
  //
  // Errors: kOutOfBounds  as View()
  //         kSystem       those of AdviseMap()
  Status Advise(uint64_t offset, uint64_t size, MapAdvice advice) const;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes
  FileIdentity identity() const { return identity_; }

 private:
  static Result<std::shared_ptr<const MappedFile>> Copy(const std::string& path,
                                                        RegularFile opened);

  MappedFile(std::string path, std::byte* data, uint64_t size, FileIdentity identity,
             std::shared_ptr<const void> file);

  const std::string path_;
  std::byte* const data_;  // owned; null if and only if size_ is 0
  const uint64_t size_;
  const FileIdentity identity_;
  const std::shared_ptr<const void> file_;  // what it is a copy of; null for a map
};

}  // namespace tensorbundle::io
