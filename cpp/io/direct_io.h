// Open files past the page cache.

#pragma once

#include <string>

#include "base/result.h"
#include "io/file.h"

namespace tensorbundle::io {

// Turns an open descriptor into one for direct I/O and tells what the device demands.
//
// Not O_DIRECT in open(2): where that is refused it may leave a new, empty file behind,
// and a FIFO or directory would be refused for the wrong reason.
//
// Errors: kSystem  EINVAL: the file system has no direct I/O, or none for this file
Result<Granule> MakeDirect(int fd, const std::string& path);

}  // namespace tensorbundle::io
