#include "engine/v1_checkpoint.h"

#include <optional>
#include <utility>

#include "engine/index_source.h"
#include "format/slices.h"

namespace tensorbundle::engine {

Result<std::unique_ptr<V1Checkpoint>> V1Checkpoint::Open(io::Storage& storage,
                                                         std::vector<std::string> paths) {
  std::unique_ptr<V1Checkpoint> checkpoint(new V1Checkpoint(std::move(paths)));
  for (uint32_t file = 0; file < checkpoint->paths_.size(); ++file) {
    TB_RETURN_IF_ERROR(checkpoint->OpenFile(storage, file).WithPath(checkpoint->paths_[file]));
  }
  return checkpoint;
}

Status V1Checkpoint::OpenFile(io::Storage& storage, uint32_t file) {
  TB_ASSIGN_OR_RETURN(auto opened, storage.OpenForRead(paths_[file]));
  TB_ASSIGN_OR_RETURN(
      auto table, format::TableReader::Open(std::make_unique<IndexSource>(std::move(opened)),
                                            format::kMaxV1BlockSize));
  TB_ASSIGN_OR_RETURN(const std::optional<Bytes> list, table->Find(""));
  if (!list.has_value()) {
    return Status(Code::kMissingHeader, "the table has no list of tensors");
  }
  TB_ASSIGN_OR_RETURN(std::vector<format::V1Tensor> tensors, format::DecodeV1Tensors(*list));
  tables_.push_back(std::move(table));
  for (format::V1Tensor& tensor : tensors) {
    const std::string name = tensor.name;
    TB_RETURN_IF_ERROR(AddTensor(std::move(tensor), file).WithKey(name));
  }
  return Status();
}

Status V1Checkpoint::AddTensor(format::V1Tensor found, uint32_t file) {
  const auto [at, is_new] = tensors_.try_emplace(std::move(found.name));
  Tensor& tensor = at->second;
  if (is_new) {
    tensor.dtype = found.dtype;
    tensor.shape = std::move(found.shape);
  } else if (tensor.dtype != found.dtype || tensor.shape != found.shape) {
    return Status(Code::kBadEntry, "listed with another dtype or shape before");
  }
  if (tensor.slices.size() + found.slices.size() > format::kMaxSlices) {
    return Status(Code::kLimitExceeded,
                  "more than " + std::to_string(format::kMaxSlices) + " slices");
  }
  for (format::Slice& slice : found.slices) {
    tensor.slices.push_back(std::move(slice));
    tensor.files.push_back(file);
  }
  return Status();
}

Result<const V1Checkpoint::Tensor*> V1Checkpoint::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return &found->second;
  return Status(Code::kNotFound, "not in the checkpoint")
      .WithKey(std::string(name))
      .WithPath(paths_.front());
}

Result<std::vector<V1Checkpoint::Piece>> V1Checkpoint::Locate(std::string_view name) const {
  TB_ASSIGN_OR_RETURN(const Tensor* const tensor, Find(name));
  auto parts = FindParts(tensor->shape, tensor->slices, WholeBox(tensor->shape));
  if (!parts.ok()) return Place(std::move(parts).status(), name, tensor->files.front());
  std::vector<Piece> pieces;
  for (PartOfBox& part : *parts) {
    auto piece = LocateSlice(name, *tensor, part.part, std::move(part.place));
    if (!piece.ok()) return Place(std::move(piece).status(), name, tensor->files[part.part]);
    pieces.push_back(std::move(piece).value());
  }
  return pieces;
}

Result<V1Checkpoint::Piece> V1Checkpoint::LocateSlice(std::string_view name,
                                                      const Tensor& tensor, size_t slice,
                                                      Box place) const {
  const format::Slice& extents = tensor.slices[slice];
  const uint32_t file = tensor.files[slice];
  TB_ASSIGN_OR_RETURN(const std::optional<Bytes> value,
                      tables_[file]->Find(format::EncodeSliceKey(name, extents)));
  if (!value.has_value()) {
    return Status(Code::kMissingSlice,
                  "there is no record of the slice " + SliceText(extents));
  }
  TB_ASSIGN_OR_RETURN(const Bytes numbers, format::DecodeV1Record(*value, name));
  TB_ASSIGN_OR_RETURN(const auto elements, format::V1Elements::Open(numbers, tensor.dtype));
  if (elements.count() != Volume(place)) {
    return Status(Code::kSizeMismatch, "the slice " + SliceText(extents) + " has " +
                                           std::to_string(elements.count()) +
                                           " elements stored, not " +
                                           std::to_string(Volume(place)));
  }
  return Piece{std::move(place), elements, file};
}

Status V1Checkpoint::Place(Status status, std::string_view name, uint32_t file) const {
  return std::move(status).WithKey(std::string(name)).WithShard(file).WithPath(paths_[file]);
}

}  // namespace tensorbundle::engine
