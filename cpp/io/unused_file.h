// Files that nobody on this machine can see the bytes of, so that they may change.

#pragma once

#include <string>

#include "base/result.h"
#include "io/file_identity.h"
#include "io/unique_fd.h"

namespace tensorbundle::io {

// Opens the file for reading and writing if it is `identity`, has no other name, and nobody
// else has it open or mapped: nobody who could read it later on, but by its name.
//
// What tells is a write lease (fcntl(2), F_SETLEASE), taken for a moment: the kernel grants it
// to the owner of a file and to CAP_LEASE, and refuses it beside any other open file, also one
// that lives on in a map only.  Only file systems are trusted with it whose maps it is known
// to see: those of an overlay belong to the files below it.
//
// Errors: kSystem  EBUSY, EMLINK, ESTALE, EOPNOTSUPP as Storage::ReopenDirect(); ELOOP: a
//                  symbolic link; EACCES: not our file; others of open and fcntl
Result<UniqueFd> OpenUnused(const std::string& path, const FileIdentity& identity);

}  // namespace tensorbundle::io
