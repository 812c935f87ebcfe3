#include "engine/v1_checkpoint.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "engine/index_source.h"
#include "format/shape_decode.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

// Adds what another list says of a tensor, or the same list once more.
Status Unite(format::V1Tensor found, uint32_t file, V1Checkpoint::Tensor& tensor) {
  if (tensor.slices.empty()) {
    tensor.dtype = found.dtype;
    tensor.shape = std::move(found.shape);
  } else if (tensor.dtype != found.dtype || tensor.shape != found.shape) {
    return Status(Code::kBadEntry, "listed with another dtype or shape before");
  }
  const size_t num_slices = tensor.slices.size() + found.slices.size();
  if (num_slices > format::kMaxSlices) return format::TooMany("slices", format::kMaxSlices);
  if (num_slices * tensor.shape.size() > format::kMaxExtents) {
    return format::TooMany("extents of slices", format::kMaxExtents);
  }
  std::ranges::move(found.slices, std::back_inserter(tensor.slices));
  tensor.files.resize(num_slices, file);
  return Status();
}

}  // namespace

Result<std::unique_ptr<V1Checkpoint>> V1Checkpoint::Open(io::Storage& storage,
                                                         std::vector<std::string> paths) {
  std::unique_ptr<V1Checkpoint> checkpoint(new V1Checkpoint(std::move(paths)));
  for (uint32_t file = 0; file < checkpoint->paths_.size(); ++file) {
    TB_RETURN_IF_ERROR(checkpoint->OpenFile(storage, file).WithPath(checkpoint->paths_[file]));
  }
  // A listing's message lies behind those before it in its list.
  std::ranges::sort(checkpoint->listings_, [](const Listing& a, const Listing& b) {
    if (const int order = a.name.compare(b.name); order != 0) return order < 0;
    return a.file != b.file ? a.file < b.file
                            : std::less<>()(a.message.data(), b.message.data());
  });
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
  tables_.push_back(std::move(table));
  return format::ForEachV1Tensor(*list, [&](std::string_view name, Bytes message) {
    if (listings_.size() == kMaxV1Tensors) return format::TooMany("tensors", kMaxV1Tensors);
    listings_.push_back({name, message, file});
    return Status();
  });
}

V1Checkpoint::Listings V1Checkpoint::ListingsFrom(size_t begin) const {
  const auto all = Listings(listings_).subspan(begin);
  const auto end = std::ranges::find_if(
      all, [&](const Listing& other) { return other.name != all.front().name; });
  return {all.begin(), end};
}

template <typename Visit>
Status V1Checkpoint::ForEachTensor(const Visit& visit) const {
  for (size_t begin = 0; begin < listings_.size();) {
    const Listings listings = ListingsFrom(begin);
    TB_RETURN_IF_ERROR(visit(listings));
    begin += listings.size();
  }
  return Status();
}

Status V1Checkpoint::ForEach(const Visitor& visit) const {
  return ForEachTensor(
      [&](Listings listings) { return visit(listings.front().name, Decode(listings)); });
}

Status V1Checkpoint::ForEachName(const NameVisitor& visit) const {
  return ForEachTensor([&](Listings listings) { return visit(listings.front().name); });
}

Result<V1Checkpoint::Tensor> V1Checkpoint::Find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(listings_, name, {}, &Listing::name);
  if (found != listings_.end() && found->name == name) {
    return Decode(ListingsFrom(static_cast<size_t>(found - listings_.begin())));
  }
  return Status(Code::kNotFound, "not in the checkpoint")
      .WithKey(std::string(name))
      .WithPath(paths_.front());
}

Result<V1Checkpoint::Tensor> V1Checkpoint::Decode(Listings listings) const {
  Tensor tensor;
  for (const Listing& listing : listings) {
    auto found = format::DecodeV1Tensor(listing.message);
    Status status = found.ok() ? Unite(std::move(found).value(), listing.file, tensor)
                               : std::move(found).status();
    if (!status.ok()) return Place(std::move(status), listing.name, listing.file);
  }
  return tensor;
}

Result<std::vector<V1Checkpoint::Piece>> V1Checkpoint::Locate(std::string_view name) const {
  TB_ASSIGN_OR_RETURN(const Tensor tensor, Find(name));
  auto parts = FindParts(tensor.shape, tensor.slices, WholeBox(tensor.shape));
  if (!parts.ok()) return Place(std::move(parts).status(), name, tensor.files.front());
  std::vector<Piece> pieces;
  for (PartOfBox& part : *parts) {
    auto piece = LocateSlice(name, tensor, part.part, std::move(part.place));
    if (!piece.ok()) return Place(std::move(piece).status(), name, tensor.files[part.part]);
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
