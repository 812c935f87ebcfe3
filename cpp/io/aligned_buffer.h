// Memory straight from the kernel: zeroed, aligned to a page (from 2 MiB on to a huge
// page, where the kernel grants those), and given back whole when the buffer goes.
//
// AlignedBuffer is a resource: it owns one anonymous mmap(2) region.  It is moved
// or shared, never copied.
//
// Threads: the buffer itself is immutable; its bytes are the owner's business.

#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace tensorbundle::io {

class AlignedBuffer {
 public:
  // Errors: kSystem  ENOMEM
  static Result<AlignedBuffer> Allocate(uint64_t size);

  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();

  MutableBytes bytes() const { return {data_, size_}; }
  uint64_t size() const { return size_; }

 private:
  AlignedBuffer(std::byte* data, uint64_t size) : data_(data), size_(size) {}

  std::byte* data_ = nullptr;  // owned; null if and only if size_ is 0
  uint64_t size_ = 0;
};

// Gives fresh memory its pages, many in one call, ahead of whoever writes to it.  Only a
// matter of time: what the system does not do now it does when a byte is touched.
void Populate(MutableBytes memory);

// Wants small pages for the whole pages of a buffer's memory that nobody has touched.
// Advice, as above.
void AdviseSmallPages(MutableBytes memory);

// Wants huge pages for a buffer that has room for any, and for what shares its first and
// last page.  Advice, as above.
void AdviseHugePages(MutableBytes memory);

}  // namespace tensorbundle::io
