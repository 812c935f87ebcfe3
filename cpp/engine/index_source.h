// The table of a checkpoint as format/table.h reads it: from an open file, never a map.

#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "format/table.h"
#include "io/file.h"

namespace tensorbundle::engine {

class IndexSource final : public format::TableSource {
 public:
  explicit IndexSource(std::shared_ptr<const io::ReadableFile> file)
      : file_(std::move(file)) {}

  uint64_t size() const override { return file_->size(); }
  Status ReadAt(uint64_t offset, MutableBytes out) const override {
    return file_->ReadAt(offset, out);
  }

 private:
  const std::shared_ptr<const io::ReadableFile> file_;
};

}  // namespace tensorbundle::engine
