#include "io/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "base/alignment.h"
#include "io/file_faults.h"
#include "io/posix_calls.h"
#include "io/posix_file.h"

namespace tensorbundle::io {
namespace {

// Memory for the copy of a file; null for an empty one.
Result<std::byte*> MapMemory(const std::string& path, uint64_t size) {
  if (size == 0) return nullptr;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (address == MAP_FAILED) return Status::System(errno, "mmap", path);
  return static_cast<std::byte*>(address);
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path,
                                                           MapAccess access) {
  TB_ASSIGN_OR_RETURN(RegularFile file, OpenRegularFile(path));
  if (access == MapAccess::kCopy) return Copy(path, std::move(file));
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

Result<std::shared_ptr<const MappedFile>> MappedFile::Copy(const std::string& path,
                                                           RegularFile opened) {
  const FileIdentity identity = opened.identity;
  const auto file = std::make_shared<const PosixReadableFile>(path, std::move(opened));
  TB_ASSIGN_OR_RETURN(std::byte* const data, MapMemory(path, file->size()));
  const std::shared_ptr<const MappedFile> copy(
      new MappedFile(path, data, file->size(), identity, file));
  if (data != nullptr) TB_RETURN_IF_ERROR(file->ReadAt(0, {data, file->size()}));
  return copy;
}

Result<std::shared_ptr<const MappedFile>> MappedFile::FromMemory(
    const std::string& path, std::shared_ptr<const void> file, uint64_t size,
    const std::function<void(MutableBytes)>& fill) {
  TB_ASSIGN_OR_RETURN(std::byte* const data, MapMemory(path, size));
  if (data != nullptr) fill(MutableBytes(data, size));
  const FileIdentity identity{0, reinterpret_cast<uintptr_t>(file.get())};
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, data, size, identity, std::move(file)));
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

Status MappedFile::Advise(uint64_t offset, uint64_t size, MapAdvice advice) const {
  TB_RETURN_IF_ERROR(View(offset, size).status());
  // The region begins at a page; the kernel takes the last page whole by itself.
  const uint64_t begin = AlignDown(offset, MapPageSize());
  const Bytes pages = Bytes(data_, size_).subspan(begin, offset - begin + size);
  return pages.empty() ? Status() : AdviseMap(pages, advice, path_);
}

}  // namespace tensorbundle::io
