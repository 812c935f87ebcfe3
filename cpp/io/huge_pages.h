// Where this process's memory lies in huge pages.
//
// Ownership: owns a descriptor.  Threads: any number.

#pragma once

#include <cstddef>

#include "io/unique_fd.h"

namespace tensorbundle::io {

class HugePages {
 public:
  // Never fails: where the kernel cannot tell (before Linux 6.7, or without /proc),
  // MayHold() is true of everything.
  HugePages();

  // Whether the page at `address` may be a huge one: false only where the kernel says that
  // it is none.
  bool MayHold(const std::byte* address) const;

 private:
  UniqueFd page_map_;
};

}  // namespace tensorbundle::io
