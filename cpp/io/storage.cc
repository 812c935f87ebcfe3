#include "io/storage.h"

#include <cerrno>

#include "io/transfer_queue.h"

namespace tensorbundle::io {

Result<std::unique_ptr<WritableFile>> Storage::ReopenDirect(const std::string& path,
                                                            const FileIdentity&) {
  return Status::System(EOPNOTSUPP, "reopen", path);
}

std::unique_ptr<TransferQueue> Storage::MakeQueue(const QueueOptions& /*options*/) {
  return MakeSynchronousQueue();
}

bool IsLinkRefusal(const Status& status) {
  switch (status.error_number()) {
    case EXDEV:
    case EMLINK:
    case EPERM:  // no links at all (vfat, ...), or not of others' files (protected_hardlinks)
    case EOPNOTSUPP:
    case ENOSYS: return true;
    default: return false;
  }
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  const size_t last = path.find_last_not_of('/', slash);  // "a//b" is in "a"
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

std::string BaseNameOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string JoinPath(const std::string& directory, const std::string& name) {
  return directory == "/" ? directory + name : directory + "/" + name;
}

}  // namespace tensorbundle::io
