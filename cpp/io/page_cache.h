// How much of an open file is in the page cache, in the kernel's two ways to tell.
//
// io/backend.h has CachedShare(), which takes the first that works.

#pragma once

#include <string>

#include "base/result.h"
#include "io/posix_calls.h"

namespace tensorbundle::io {

// cachestat(2), Linux 6.5: in one call, whatever the size.
//
// REQUIRES: file.size > 0
//
// Errors: kSystem  ENOSYS: an older kernel; EPERM: not ours (Linux 6.12);
//                  EOPNOTSUPP: hugetlbfs
Result<double> CachedShareByCachestat(const RegularFile& file, const std::string& path);

// mincore(2) of a map: a byte per page is looked at.
//
// REQUIRES: file.size > 0
Result<double> CachedShareByMincore(const RegularFile& file, const std::string& path);

}  // namespace tensorbundle::io
