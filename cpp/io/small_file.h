// Small files that appear whole: written under a hidden name, synced, and renamed.
//
// A file under construction is locked, so that whoever comes upon it can tell it from what a
// killed process has left.
//
// Threads: any number of threads and processes may replace and sweep the same files.

#pragma once

#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/status.h"

namespace tensorbundle::io {

// Gives a file new content: a reader finds the old or the new, and so does whoever comes after
// a crash.  With `durable` the new content survives a power cut from the return on.
//
// REQUIRES: `hidden` gives paths in the same directory, another each time, that nobody else
//           makes
//
// Errors: kSystem  `path` is as it was, and nothing is left behind; only where the very last
//                  sync of the directory fails is the new content in place already
Status ReplaceFile(const std::string& path, const std::function<std::string()>& hidden,
                   Bytes content, bool durable);

// Removes a `hidden` path of ReplaceFile() that nobody is writing; leaves anything else alone,
// also where nobody can tell: on a file system without locks.
//
// Errors: kSystem  unlink failed
Status RemoveUnfinished(const std::string& hidden);

}  // namespace tensorbundle::io
