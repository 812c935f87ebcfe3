#include "io/file_faults.h"

namespace tensorbundle::io {

Status NotInFile(const std::string& path, uint64_t offset, uint64_t size, uint64_t available) {
  return Status(Code::kOutOfBounds, "expected " + std::to_string(size) + " bytes, found " +
                                        std::to_string(available) +
                                        " before the end of the file")
      .WithPath(path)
      .WithOffset(offset);
}

Status ShortRead(const std::string& path, uint64_t offset, const ShortCount& count) {
  const bool was_there = offset <= count.file_size && count.wanted <= count.file_size - offset;
  if (!was_there) return NotInFile(path, offset, count.wanted, count.found);
  return Status(Code::kConcurrentModification,
                "expected " + std::to_string(count.wanted) + " bytes, found " +
                    std::to_string(count.found) + " before the end of the file, which had " +
                    std::to_string(count.file_size) + " bytes when it was opened")
      .WithPath(path)
      .WithOffset(offset);
}

Status NotRegularFile(const std::string& path, const std::string& found) {
  return Status(Code::kNotRegularFile, "expected a regular file, found " + found)
      .WithPath(path);
}

Status HeldByAnother(const std::string& path) {
  return Status(Code::kLocked, "another save is writing here").WithPath(path);
}

}  // namespace tensorbundle::io
