// New files that no directory names: they go with their descriptor, whatever happens.

#pragma once

#include <string>

#include "base/result.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {

// A file that never had a name, in the file system of `directory`: O_TMPFILE.
//
// Errors: kSystem  EOPNOTSUPP, EISDIR: the file system, or the kernel, has no such files
Result<UniqueFd> CreateUnnamedFile(const std::string& directory);

// A file that had one for a moment, of 128 random bits.
Result<UniqueFd> CreateUnlinkedFile(const std::string& directory);

// The first of them that works.
Result<UniqueFd> CreateHiddenFile(const std::string& directory);

}  // namespace tensorbundle::io
