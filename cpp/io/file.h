// A file that is open for reading, or new and under construction.
//
// Ownership: whoever got the file from a Storage (io/storage.h) owns it.
//
// Threads: a ReadableFile may be used by any number of threads.  A WritableFile takes
// WriteAt() from any number of threads at once on ranges that do not overlap; all its
// other methods are for one thread, when no WriteAt() is under way.
//
// Errors: every method returns kSystem with errno, the operation and the path
// where a system call fails.  Nothing is retried but EINTR and short counts.

#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "io/file_identity.h"

namespace tensorbundle::io {

// What a file demands of a transfer: offset and size are multiples of the one, the
// memory's address of the other.  Powers of two; 1 where anything goes.
struct Granule {
  uint64_t offset = 1;  // bytes
  uint64_t memory = 1;  // bytes
  friend bool operator==(const Granule&, const Granule&) = default;
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;

  virtual Granule granule() const { return {}; }

  // Fills `out` with the bytes at `offset`, or fails.
  //
  // REQUIRES: the range and the memory suit granule().  The last granule of the file may
  //           be asked for whole: what `out` then holds past the end is undefined
  //
  // Errors: kOutOfBounds             the file ended before offset + out.size() already
  //                                  when it was opened
  //         kConcurrentModification  it has become shorter since
  //         kInvalidArgument         a misaligned request (asserted in debug builds)
  virtual Status ReadAt(uint64_t offset, MutableBytes out) const = 0;

  virtual uint64_t size() const = 0;  // bytes, when it was opened
  virtual const std::string& path() const = 0;
  virtual FileIdentity identity() const = 0;

  // What a queue needs that hands transfers to the kernel itself: the open descriptor,
  // which stays the file's, or -1 where there is none and ReadAt() is the only way.
  virtual int descriptor() const { return -1; }
};

// A file under construction, new or written anew.  Destroying it closes it and drops any
// error: whoever wants the bytes calls Sync() and Close().
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  virtual Granule granule() const { return {}; }

  // Whether writes from memory in huge pages are the faster ones (io/request_limits.h), so
  // much that copying there first pays.
  virtual bool prefers_huge_pages() const { return false; }

  // Reserves `size` bytes, so that a full disk is found before anything is
  // written.  Where the file system cannot reserve, does nothing; elsewhere it may
  // lengthen the file to `size`, so Truncate() has the last word.
  virtual Status Allocate(uint64_t size) = 0;

  // Whether it was a file before (Storage::ReopenDirect): then what is never written reads as
  // it did, and Truncate() cuts off what is too long.
  virtual bool is_reused() const { return false; }

  // Writes all of `bytes` at `offset`.  What is never written reads as zeros, unless
  // is_reused().
  //
  // REQUIRES: the range and the memory suit granule()
  //
  // Errors: kInvalidArgument  a misaligned request (asserted in debug builds)
  virtual Status WriteAt(uint64_t offset, Bytes bytes) = 0;

  // Makes the file exactly `size` bytes long.
  virtual Status Truncate(uint64_t size) = 0;

  // Returns when the bytes and the size are durable.  An error is final: the
  // kernel may have dropped the bytes, so calling it again proves nothing.
  virtual Status Sync() = 0;

  // REQUIRES: not called twice
  virtual Status Close() = 0;

  virtual const std::string& path() const = 0;

  // As ReadableFile::descriptor(); -1 once closed.
  virtual int descriptor() const { return -1; }
};

}  // namespace tensorbundle::io
