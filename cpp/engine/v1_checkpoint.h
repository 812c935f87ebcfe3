// An open V1 checkpoint: the table, or tables, that hold its tensors.
//
// Saved by one program it is one file; saved in shards, several, each with tensors or slices
// of tensors of its own, which together are the checkpoint.
//
// Opening reads each file's list of tensors, and of a tensor no more than its name: what the
// lists say of it is decoded when it is asked for.
//
// Ownership: a V1Checkpoint owns its open files, and what was read of them; pieces borrow it.
//
// Threads: immutable; any thread may call any method.
//
// Trust: the files are from disk.  A list is refused as a whole only where its tensors cannot
// be told apart; what it says of one tensor is checked with that tensor, and a tensor's slices
// when it is located: they lie inside its shape, cover it, do not overlap, and have as many
// elements as they should.  Memory for a tensor is taken after that, so it is bounded by the
// elements that are really there.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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

// That all lists together name: 40 MiB for them, where ten bytes of a list name one.
constexpr size_t kMaxV1Tensors = 1u << 20;

class V1Checkpoint {
 public:
  struct Tensor {
    format::DType dtype = format::DType::kFloat32;
    format::Shape shape;
    std::vector<format::Slice> slices;  // not empty
    std::vector<uint32_t> files;        // which has the slice
  };

  // Errors: kSystem (ENOENT: a file is missing), kNotRegularFile, kLimitExceeded, and those of
  //         format/table.h and ForEachV1Tensor()
  static Result<std::unique_ptr<V1Checkpoint>> Open(io::Storage& storage,
                                                    std::vector<std::string> paths);

  const std::vector<std::string>& paths() const { return paths_; }

  // Called with each tensor's name and what Find() says of it.
  using Visitor = std::function<Status(std::string_view name, Result<Tensor> tensor)>;

  // Visits all tensors in the order of their names.  One bad tensor does not hide the others.
  //
  // Errors: whatever `visit` returns
  Status ForEach(const Visitor& visit) const;

  // Like ForEach(), but decodes nothing.
  using NameVisitor = std::function<Status(std::string_view name)>;
  Status ForEachName(const NameVisitor& visit) const;

  // Errors: kNotFound, and those of DecodeV1Tensor()
  //         kBadEntry       listed twice, with another dtype or shape
  //         kLimitExceeded  has too many slices in all lists together
  Result<Tensor> Find(std::string_view name) const;

  // The elements of one slice, and where they belong in the tensor.
  struct Piece {
    Box place;
    format::V1Elements elements;
    uint32_t file = 0;
  };

  // All of a tensor, but for slices without elements.
  //
  // Errors: those of Find(), kBadSlice, kMissingSlice, kSizeMismatch, kLimitExceeded,
  //         kBadEntry, and those of format/table.h about the blocks that hold it
  Result<std::vector<Piece>> Locate(std::string_view name) const;

  // Names the tensor, and the file where it is known.
  Status Place(Status status, std::string_view name, uint32_t file) const;

 private:
  // What one list says of a tensor; views of that list.
  struct Listing {
    std::string_view name;
    Bytes message;
    uint32_t file = 0;
  };
  using Listings = std::span<const Listing>;  // of one tensor, in the order of the files

  explicit V1Checkpoint(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  Status OpenFile(io::Storage& storage, uint32_t file);
  Listings ListingsFrom(size_t begin) const;
  template <typename Visit>
  Status ForEachTensor(const Visit& visit) const;
  Result<Tensor> Decode(Listings listings) const;
  Result<Piece> LocateSlice(std::string_view name, const Tensor& tensor, size_t slice,
                            Box place) const;

  const std::vector<std::string> paths_;
  std::vector<std::unique_ptr<const format::TableReader>> tables_;  // like paths_
  std::vector<Listing> listings_;                                   // by name
};

}  // namespace tensorbundle::engine
