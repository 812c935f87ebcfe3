// How a mapped file will be used: what madvise(2) lets a program tell the kernel.

#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/status.h"

namespace tensorbundle::io {

enum class MapAdvice : uint8_t {
  kNormal,      // read ahead of a page that is touched, as the kernel sees fit
  kSequential,  // read far ahead
  kRandom,      // read nothing but the pages that are touched
  kWillNeed,    // start to read them all, in the background
  kPopulate,    // read and map them all, and return when that is done
};

uint64_t MapPageSize();  // bytes

// The first four are hints: a kernel that does not take one is no error.
//
// REQUIRES: `pages` is mapped and begins at a page
//
// Errors: kSystem  kPopulate only.  EIO: a page cannot be read, or the file shrank, and
//                  touching it would be SIGBUS; ENOMEM
Status AdviseMap(Bytes pages, MapAdvice advice, const std::string& path);

// kPopulate on kernels before Linux 5.14: a byte of each page is read by a system call,
// which answers where a load would be a signal.  Where even that is forbidden, kWillNeed.
Status PopulateByReading(Bytes pages, const std::string& path);

}  // namespace tensorbundle::io
