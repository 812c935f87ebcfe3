// The ways to move bytes between memory and a path, and which of them it can do.
//
//   buffered  pread and pwrite through the page cache: works everywhere
//   direct    the same calls with O_DIRECT: the device reads the caller's memory, no
//             page cache is filled; needs a file system on a block device
//   uring     O_DIRECT through io_uring: several transfers in flight per thread
//
// "auto" is direct or uring where a real probe of the directory succeeds on a file
// system that sits on a local block device, else buffered.
//
// A probe asks statfs(2) for the file system, statx(2) for the granule (STATX_DIOALIGN,
// Linux 6.1) and then really opens, writes and removes a hidden file with O_DIRECT:
// several file systems accept the flag and refuse the write.  Others accept both and
// have no device (tmpfs) or one far away: those are known by name and not tried.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/file.h"
#include "io/storage.h"

namespace tensorbundle::io {

enum class Backend : uint8_t { kBuffered, kDirect, kUring };

std::string_view BackendName(Backend backend);

// What a directory's file system can do.
struct PathTraits {
  std::string file_system;    // "ext4", "xfs", "tmpfs", "nfs", ...; "0x..." if unknown
  bool is_network = false;    // NFS, SMB, 9p, Ceph, Lustre, FUSE, ...: no mmap, no direct
  bool is_memory = false;     // tmpfs, ramfs: there is no device to go to directly
  bool direct = false;        // the probe wrote with O_DIRECT
  std::string direct_reason;  // why not, where it did not
  Granule granule;            // of direct transfers; 1 and 1 where there are none
};

// For writing into an existing directory.  The probe's file never has a name, or loses
// it before anything is written.  One that may not be made is a `direct_reason`.
//
// Errors: kSystem  statfs or stat failed (ENOENT, ENOTDIR, ...)
Result<PathTraits> ProbeDirectory(const std::string& directory);
// For reading an existing file: its first granule is read with O_DIRECT.
//
// Errors: kSystem, kNotRegularFile  as Storage::OpenForRead()
Result<PathTraits> ProbeFile(const std::string& path);

// Whether this build has io_uring and this process may use it; the reason if not.
struct UringSupport {
  bool available = false;
  std::string reason;  // "not built in", "io_uring_setup: Operation not permitted", ...
};
UringSupport ProbeUring();

std::unique_ptr<Storage> MakeStorage(Backend backend);

// The share of a file that is in the page cache, from 0 to 1; an empty file's is 1.
// cachestat(2), or mincore(2) of a map where the kernel lacks or refuses it.  Of a file
// that this process may neither write nor owns, the kernel tells 1.
Result<double> CachedShare(const std::string& path);

}  // namespace tensorbundle::io
