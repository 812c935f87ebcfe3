#include "io/file_faults.h"

namespace tensorbundle::io {

Status NotInFile(const std::string& path, uint64_t offset, uint64_t size, uint64_t available) {
  return Status(Code::kOutOfBounds, "expected " + std::to_string(size) + " bytes, found " +
                                        std::to_string(available) +
                                        " before the end of the file")
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
