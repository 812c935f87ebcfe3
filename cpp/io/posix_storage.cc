#include "io/posix_storage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "io/direct_io.h"
#include "io/kernel_ring.h"
#include "io/posix_calls.h"
#include "io/posix_file.h"
#include "io/posix_lock.h"
#include "io/request_limits.h"
#include "io/ring_queue.h"
#include "io/transfer_queue.h"
#include "io/unused_file.h"

namespace tensorbundle::io {
namespace {

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

class PosixStorage final : public Storage {
 public:
  explicit PosixStorage(Backend backend) : backend_(backend) {}

  Result<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override;
  Result<FileSystemKind> FileSystem(const std::string& path) override;
  Result<std::shared_ptr<const MappedFile>> Map(const std::string& path,
                                                MapAccess access) override;
  Result<FileIdentity> Identify(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> CreateDirect(const std::string& path) override;
  Result<std::unique_ptr<ReadableFile>> OpenDirect(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> ReopenDirect(const std::string& path,
                                                     const FileIdentity& identity) override;
  std::unique_ptr<TransferQueue> MakeQueue(const QueueOptions& options) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status Link(const std::string& from, const std::string& to) override;
  Status SyncFile(const std::string& path) override;
  Result<bool> Exists(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  Result<bool> MakeDirectory(const std::string& path) override;
  Status RemoveDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& directory) override;
  Result<std::unique_ptr<Lock>> TryLock(const std::string& path) override;

 private:
  const Backend backend_;
};

Result<UniqueFd> CreateNewFile(const std::string& path) {
  constexpr int kFlags = O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_RDWR;
  UniqueFd fd(RetryOnInterrupt([&] { return ::open(path.c_str(), kFlags, 0666); }));
  if (!fd.valid()) return Status::System(errno, "open", path);
  return fd;
}

Result<std::unique_ptr<ReadableFile>> PosixStorage::OpenForRead(const std::string& path) {
  TB_ASSIGN_OR_RETURN(RegularFile file, OpenRegularFile(path));
  return std::unique_ptr<ReadableFile>(
      std::make_unique<PosixReadableFile>(path, std::move(file)));
}

Result<FileSystemKind> PosixStorage::FileSystem(const std::string& path) {
  return FileSystemAt(path);
}

Result<std::shared_ptr<const MappedFile>> PosixStorage::Map(const std::string& path,
                                                            MapAccess access) {
  return MappedFile::Open(path, access);
}

Result<FileIdentity> PosixStorage::Identify(const std::string& path) {
  struct stat attributes = {};
  if (::stat(path.c_str(), &attributes) != 0) return Status::System(errno, "stat", path);
  return FileIdentity{attributes.st_dev, attributes.st_ino};
}

Result<std::unique_ptr<WritableFile>> PosixStorage::Create(const std::string& path) {
  TB_ASSIGN_OR_RETURN(UniqueFd fd, CreateNewFile(path));
  return std::unique_ptr<WritableFile>(
      std::make_unique<PosixWritableFile>(path, std::move(fd)));
}

Result<WritableTraits> MakeDirectForWrites(int fd, const std::string& path) {
  WritableTraits traits;
  TB_ASSIGN_OR_RETURN(traits.granule, MakeDirect(fd, path));
  struct stat attributes = {};
  traits.prefers_huge_pages =
      ::fstat(fd, &attributes) == 0 && SmallPagesCutRequests(attributes.st_dev);
  return traits;
}

Result<std::unique_ptr<WritableFile>> PosixStorage::CreateDirect(const std::string& path) {
  if (backend_ == Backend::kBuffered) return Create(path);
  TB_ASSIGN_OR_RETURN(UniqueFd fd, CreateNewFile(path));
  const auto traits = MakeDirectForWrites(fd.get(), path);
  if (!traits.ok()) {
    ::unlink(path.c_str());  // made just now, with O_EXCL: ours
    return traits.status();
  }
  return std::unique_ptr<WritableFile>(
      std::make_unique<PosixWritableFile>(path, std::move(fd), *traits));
}

Result<std::unique_ptr<ReadableFile>> PosixStorage::OpenDirect(const std::string& path) {
  if (backend_ == Backend::kBuffered) return OpenForRead(path);
  TB_ASSIGN_OR_RETURN(RegularFile file, OpenRegularFile(path));
  TB_ASSIGN_OR_RETURN(const Granule granule, MakeDirect(file.fd.get(), path));
  return std::unique_ptr<ReadableFile>(
      std::make_unique<PosixReadableFile>(path, std::move(file), granule));
}

Result<std::unique_ptr<WritableFile>> PosixStorage::ReopenDirect(
    const std::string& path, const FileIdentity& identity) {
  TB_ASSIGN_OR_RETURN(UniqueFd fd, OpenUnused(path, identity));
  WritableTraits traits;
  if (backend_ != Backend::kBuffered) {
    TB_ASSIGN_OR_RETURN(traits, MakeDirectForWrites(fd.get(), path));
  }
  traits.is_reused = true;
  return std::unique_ptr<WritableFile>(
      std::make_unique<PosixWritableFile>(path, std::move(fd), traits));
}

std::unique_ptr<TransferQueue> PosixStorage::MakeQueue(const QueueOptions& options) {
  if (backend_ != Backend::kUring) return MakeSynchronousQueue();
  return MakeRingQueue(MakeKernelRing, options);
}

Status PosixStorage::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return Status();
  return Status::System(errno, "rename to " + Quoted(to), from);
}

Status PosixStorage::Remove(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return Status();
  return Status::System(errno, "unlink", path);
}

Status PosixStorage::Link(const std::string& from, const std::string& to) {
  // Not link(2), which would give the symbolic link itself a second name.
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    return Status();
  }
  return Status::System(errno, "link to " + Quoted(to), from);
}

Status PosixStorage::SyncFile(const std::string& path) {
  TB_ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(path));
  if (::fdatasync(file.fd.get()) == 0) return Status();
  return Status::System(errno, "fdatasync", path);
}

Result<bool> PosixStorage::Exists(const std::string& path) {
  struct stat attributes = {};
  // Not stat(2): a symbolic link to nowhere stands there as well.
  if (::lstat(path.c_str(), &attributes) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return Status::System(errno, "stat", path);
}

Result<std::vector<std::string>> PosixStorage::List(const std::string& directory) {
  DirectoryStream stream;
  do {
    stream.reset(::opendir(directory.c_str()));
  } while (stream == nullptr && errno == EINTR);
  if (stream == nullptr) return Status::System(errno, "opendir", directory);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;  // the end and an error are both a null pointer
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return Status::System(errno, "readdir", directory);
  return names;
}

Result<bool> PosixStorage::MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return true;
  if (errno != EEXIST) return Status::System(errno, "mkdir", path);
  struct stat attributes = {};
  if (::stat(path.c_str(), &attributes) != 0) return Status::System(errno, "stat", path);
  if (!S_ISDIR(attributes.st_mode)) return Status::System(ENOTDIR, "mkdir", path);
  return false;
}

Status PosixStorage::RemoveDirectory(const std::string& path) {
  if (::rmdir(path.c_str()) == 0) return Status();
  return Status::System(errno, "rmdir", path);
}

Status PosixStorage::SyncDirectory(const std::string& directory) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const UniqueFd fd(RetryOnInterrupt([&] { return ::open(directory.c_str(), kFlags); }));
  if (!fd.valid()) return Status::System(errno, "open", directory);
  // EINVAL: a file system whose directories have nothing to sync.
  if (::fsync(fd.get()) == 0 || errno == EINVAL) return Status();
  return Status::System(errno, "fsync", directory);
}

Result<std::unique_ptr<Lock>> PosixStorage::TryLock(const std::string& path) {
  return TryLockFile(path);
}

}  // namespace

std::unique_ptr<Storage> MakePosixStorage(Backend backend) {
  return std::make_unique<PosixStorage>(backend);
}

}  // namespace tensorbundle::io
