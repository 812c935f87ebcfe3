#include "engine/reopened_file.h"

#include <cerrno>
#include <utility>

namespace tensorbundle::engine {
namespace {

class ReopenedFile final : public io::ReadableFile {
 public:
  ReopenedFile(std::shared_ptr<io::Storage> storage,
               std::shared_ptr<const io::MappedFile> kept)
      : storage_(std::move(storage)), kept_(std::move(kept)) {}

  Status ReadAt(uint64_t offset, MutableBytes out) const override {
    TB_ASSIGN_OR_RETURN(const auto file, storage_->OpenForRead(path()));
    if (!(file->identity() == identity())) {
      return Status(Code::kCheckpointGone, "the checkpoint was replaced since it was opened")
          .WithPath(path());
    }
    if (file->size() < size()) {
      return Status(Code::kConcurrentModification, "the file had " + std::to_string(size()) +
                                                       " bytes when it was opened, " +
                                                       std::to_string(file->size()) + " now")
          .WithPath(path());
    }
    return file->ReadAt(offset, out);
  }

  uint64_t size() const override { return kept_->size(); }
  const std::string& path() const override { return kept_->path(); }
  io::FileIdentity identity() const override { return kept_->identity(); }

 private:
  const std::shared_ptr<io::Storage> storage_;
  const std::shared_ptr<const io::MappedFile> kept_;
};

}  // namespace

Result<std::unique_ptr<io::ReadableFile>> OpenForEachRead(std::shared_ptr<io::Storage> storage,
                                                          const std::string& path) {
  auto kept = storage->Map(path, io::MapAccess::kReadOnly);
  // A file system that cannot map: what is open stays what it is, too.
  if (!kept.ok() && kept.status().error_number() == ENODEV) return storage->OpenForRead(path);
  TB_RETURN_IF_ERROR(kept.status());
  return std::unique_ptr<io::ReadableFile>(
      std::make_unique<ReopenedFile>(std::move(storage), std::move(kept).value()));
}

}  // namespace tensorbundle::engine
