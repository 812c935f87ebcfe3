#include "io/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "io/file_faults.h"
#include "io/posix_calls.h"

namespace tensorbundle::io {

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path,
                                                           MapAccess access) {
  TB_ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(path));
  void* address = nullptr;
  if (file.size > 0) {  // mmap(2) refuses to map nothing
    const bool is_private = access == MapAccess::kPrivate;
    const int protection = is_private ? PROT_READ | PROT_WRITE : PROT_READ;
    const int flags = is_private ? MAP_PRIVATE : MAP_SHARED;
    address = ::mmap(nullptr, file.size, protection, flags, file.fd.get(), 0);
    if (address == MAP_FAILED) return Status::System(errno, "mmap", path);
  }
  // Not make_shared: the constructor is private.
  return std::shared_ptr<const MappedFile>(new MappedFile(
      path, static_cast<std::byte*>(address), file.size, file.identity, nullptr));
}

Result<std::shared_ptr<const MappedFile>> MappedFile::FromMemory(
    const std::string& path, std::shared_ptr<const void> file, uint64_t size,
    const std::function<void(MutableBytes)>& fill) {
  void* address = nullptr;
  if (size > 0) {
    address =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return Status::System(errno, "mmap", path);
    fill(MutableBytes(static_cast<std::byte*>(address), size));
  }
  const FileIdentity identity{0, reinterpret_cast<uintptr_t>(file.get())};
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, static_cast<std::byte*>(address), size, identity, std::move(file)));
}

MappedFile::MappedFile(std::string path, std::byte* data, uint64_t size, FileIdentity identity,
                       std::shared_ptr<const void> file)
    : path_(std::move(path)),
      data_(data),
      size_(size),
      identity_(identity),
      file_(std::move(file)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Bytes> MappedFile::View(uint64_t offset, uint64_t size) const {
  // Two comparisons, not offset + size > size_: the sum could wrap around.
  if (offset > size_ || size > size_ - offset) {
    return NotInFile(path_, offset, size, AvailableFrom(offset, size_));
  }
  return Bytes(data_, size_).subspan(offset, size);
}

}  // namespace tensorbundle::io
