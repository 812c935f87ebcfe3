// An open V1 checkpoint: the table, or tables, that hold its tensors.
//
// Saved by one program it is one file; saved in shards, several, each with tensors or slices
// of tensors of its own, which together are the checkpoint.
//
// Ownership: a V1Checkpoint owns its open files, and what was read of them; pieces borrow it.
//
// Threads: immutable; any thread may call any method.
//
// Trust: the files are from disk.  The lists of tensors are checked when the checkpoint is
// opened; a tensor's slices when it is located: they lie inside its shape, cover it, do not
// overlap, and have as many elements as they should.  Memory for a tensor is taken after
// that, so it is bounded by the elements that are really there.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/partition.h"
#include "format/entry.h"
#include "format/table.h"
#include "format/v1_elements.h"
#include "format/v1_records.h"
#include "io/storage.h"

namespace tensorbundle::engine {

class V1Checkpoint {
 public:
  struct Tensor {
    format::DType dtype = format::DType::kFloat32;
    format::Shape shape;
    std::vector<format::Slice> slices;
    std::vector<uint32_t> files;  // which has the slice
  };
  using Tensors = std::map<std::string, Tensor, std::less<>>;

  // Errors: kSystem (ENOENT: a file is missing), kNotRegularFile, and those of
  //         format/table.h and DecodeV1Tensors()
  //         kBadEntry  two files disagree about a tensor
  static Result<std::unique_ptr<V1Checkpoint>> Open(io::Storage& storage,
                                                    std::vector<std::string> paths);

  const Tensors& tensors() const { return tensors_; }
  const std::vector<std::string>& paths() const { return paths_; }

  // Errors: kNotFound
  Result<const Tensor*> Find(std::string_view name) const;

  // The elements of one slice, and where they belong in the tensor.
  struct Piece {
    Box place;
    format::V1Elements elements;
    uint32_t file = 0;
  };

  // All of a tensor, but for slices without elements.
  //
  // Errors: kNotFound, kBadSlice, kMissingSlice, kSizeMismatch, kLimitExceeded, kBadEntry,
  //         and those of format/table.h about the blocks that hold it
  Result<std::vector<Piece>> Locate(std::string_view name) const;

  // Names the tensor, and the file where it is known.
  Status Place(Status status, std::string_view name, uint32_t file) const;

 private:
  explicit V1Checkpoint(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  Status OpenFile(io::Storage& storage, uint32_t file);
  Status AddTensor(format::V1Tensor tensor, uint32_t file);
  Result<Piece> LocateSlice(std::string_view name, const Tensor& tensor, size_t slice,
                            Box place) const;

  const std::vector<std::string> paths_;
  std::vector<std::unique_ptr<const format::TableReader>> tables_;  // like paths_
  Tensors tensors_;
};

}  // namespace tensorbundle::engine
