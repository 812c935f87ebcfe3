// What a path can do: the probes of io/backend.h.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/aligned_buffer.h"
#include "io/backend.h"
#include "io/direct_io.h"
#include "io/file_system.h"
#include "io/hidden_file.h"
#include "io/posix_calls.h"
#include "io/posix_file.h"

namespace tensorbundle::io {
namespace {

Result<PathTraits> DescribeFileSystem(const std::string& path) {
  TB_ASSIGN_OR_RETURN(const FileSystemKind kind, FileSystemAt(path));
  PathTraits traits;
  traits.file_system = kind.name;
  traits.is_network = kind.is_network;
  traits.is_memory = kind.is_memory;
  if (kind.is_memory) traits.direct_reason = kind.name + " is in memory, without a device";
  if (kind.is_network) traits.direct_reason = kind.name + " is not a local device";
  return traits;
}

// A full disk or a missing permission says nothing about direct I/O.
bool MeansNoDirectIo(const Status& status) {
  const int error = status.error_number();
  return error == 0 || error == EINVAL || error == EOPNOTSUPP || error == ENOTSUP ||
         error == ENOSYS;
}

// Errors: what kept the probe from telling
Status SetGranule(const Result<Granule>& granule, PathTraits& traits) {
  traits.direct = granule.ok();
  if (granule.ok()) {
    traits.granule = *granule;
    return Status();
  }
  traits.direct_reason = granule.status().message();
  return MeansNoDirectIo(granule.status()) ? Status() : granule.status();
}

// Writes one granule of zeros.
Result<Granule> TryWriting(const std::string& directory) {
  TB_ASSIGN_OR_RETURN(UniqueFd fd, CreateHiddenFile(directory));
  TB_ASSIGN_OR_RETURN(const Granule granule, MakeDirect(fd.get(), directory));
  TB_ASSIGN_OR_RETURN(const AlignedBuffer zeros, AlignedBuffer::Allocate(granule.offset));
  PosixWritableFile file(directory, std::move(fd), {.granule = granule});
  TB_RETURN_IF_ERROR(file.WriteAt(0, zeros.bytes()));
  return granule;
}

// Reads the first granule, if there is one.
Result<Granule> TryReading(const std::string& path, RegularFile opened) {
  TB_ASSIGN_OR_RETURN(const Granule granule, MakeDirect(opened.fd.get(), path));
  if (opened.size == 0) return granule;
  TB_ASSIGN_OR_RETURN(const AlignedBuffer first, AlignedBuffer::Allocate(granule.offset));
  const PosixReadableFile file(path, std::move(opened), granule);
  TB_RETURN_IF_ERROR(file.ReadAt(0, first.bytes()));
  return granule;
}

}  // namespace

Result<PathTraits> ProbeDirectory(const std::string& directory) {
  struct stat attributes = {};
  if (::stat(directory.c_str(), &attributes) != 0) {
    return Status::System(errno, "stat", directory);
  }
  if (!S_ISDIR(attributes.st_mode)) return Status::System(ENOTDIR, "stat", directory);
  TB_ASSIGN_OR_RETURN(PathTraits traits, DescribeFileSystem(directory));
  if (!traits.is_memory && !traits.is_network) {
    TB_RETURN_IF_ERROR(SetGranule(TryWriting(directory), traits));
  }
  return traits;
}

Result<PathTraits> ProbeFile(const std::string& path) {
  TB_ASSIGN_OR_RETURN(RegularFile file, OpenRegularFile(path));
  TB_ASSIGN_OR_RETURN(PathTraits traits, DescribeFileSystem(path));
  if (!traits.is_memory && !traits.is_network) {
    TB_RETURN_IF_ERROR(SetGranule(TryReading(path, std::move(file)), traits));
  }
  return traits;
}

}  // namespace tensorbundle::io
