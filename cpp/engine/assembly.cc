#include "engine/assembly.h"

#include <memory>
#include <string>
#include <utility>

#include "base/arithmetic.h"

namespace tensorbundle::engine {
namespace {

using format::Entry;

std::string PartText(const format::Slice& slice) { return "part " + SliceText(slice); }

Status CheckPart(const Entry& part, const Box& place, const Entry& whole) {
  if (part.slices.empty() && part.dtype == whole.dtype && part.shape == place.size) {
    return Status();
  }
  return Status(Code::kBadSlice,
                part.slices.empty() ? "has another dtype or shape than the tensor's slice says"
                                    : "is stored in parts itself");
}

// Bytes of a destination: of strings those of all parts, as they are stored.
Result<uint64_t> SizeInMemory(const Entry& entry, std::span<const StoredPart> parts) {
  const uint64_t element_size = format::ElementSize(entry.dtype);
  if (element_size != 0) return Volume(WholeBox(entry.shape)) * element_size;
  uint64_t size = 0;
  for (const StoredPart& part : parts) {
    const auto sum = CheckedAdd(size, part.entry.size);
    if (!sum.has_value()) {
      return Status(Code::kLimitExceeded, "the parts have more than 2^64 bytes");
    }
    size = *sum;
  }
  return size;
}

}  // namespace

ReadRequest RequestOf(const std::string& name, const StoredPart& part) {
  ReadRequest request;
  request.name = name;
  request.entry = part.entry;
  if (!part.slice.empty()) request.part = PartText(part.slice);
  return request;
}

Result<std::vector<StoredPart>> FindStoredParts(const Bundle& bundle, const std::string& name,
                                                const Entry& entry, const Box& wanted,
                                                format::TableLookup& lookup) {
  const auto in_index = [&](Status status) {
    return std::move(status).WithKey(name).WithPath(bundle.index_path());
  };
  auto found = FindParts(entry.shape, entry.slices, wanted);
  if (!found.ok()) return in_index(std::move(found).status());
  std::vector<StoredPart> parts;
  parts.reserve(found->size());
  for (PartOfBox& part : *found) {
    const format::Slice& slice = entry.slices[part.part];
    auto stored = bundle.FindPart(name, slice, lookup);
    if (stored.ok()) {
      const Status fits = CheckPart(*stored, part.place, entry);
      if (!fits.ok()) stored = fits;
    }
    if (!stored.ok()) {
      return in_index(std::move(stored).status().Within(PartText(slice)));
    }
    parts.push_back({slice, std::move(stored).value(), std::move(part.place)});
  }
  return parts;
}

Result<Entry> FindToRead(const Bundle& bundle, const std::string& name,
                         format::TableLookup& lookup) {
  TB_ASSIGN_OR_RETURN(Entry entry, bundle.Find(name, lookup));
  if (entry.slices.size() != 1 || !IsWhole(entry.slices.front(), entry.shape)) return entry;
  // A tensor without elements is in no part of it that anybody needs.
  if (Volume(WholeBox(entry.shape)) == 0) return entry;
  TB_ASSIGN_OR_RETURN(std::vector<StoredPart> parts,
                      FindStoredParts(bundle, name, entry, WholeBox(entry.shape), lookup));
  return std::move(parts.front().entry);
}

Result<Assembly> Assembly::Make(const Bundle& bundle, std::span<ReadRequest> tensors) {
  Assembly assembly;
  assembly.parts_.resize(tensors.size());
  format::TableLookup lookup = bundle.MakeLookup();
  for (size_t i = 0; i < tensors.size(); ++i) {
    Entry& entry = tensors[i].entry;
    size_t num_requests = 1;
    if (!entry.slices.empty()) {
      TB_ASSIGN_OR_RETURN(assembly.parts_[i], FindStoredParts(bundle, tensors[i].name, entry,
                                                              WholeBox(entry.shape), lookup));
      TB_ASSIGN_OR_RETURN(entry.size, SizeInMemory(entry, assembly.parts_[i]));
      num_requests = assembly.parts_[i].size();
    }
    assembly.tensors_.insert(assembly.tensors_.end(), num_requests, i);
  }
  return assembly;
}

std::vector<ReadRequest> Assembly::Requests(std::span<const ReadRequest> tensors) const {
  std::vector<ReadRequest> requests;
  requests.reserve(tensors_.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ReadRequest& tensor = tensors[i];
    if (tensor.entry.slices.empty()) {
      requests.push_back(tensor);
      continue;
    }
    uint64_t string_offset = 0;
    for (const StoredPart& part : parts_[i]) {
      ReadRequest request = RequestOf(tensor.name, part);
      if (!tensor.out.empty()) SetDestination(tensor, part, string_offset, request);
      string_offset += part.entry.size;
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

// Into place where the part is one run of the tensor, else to be spread over it.
void Assembly::SetDestination(const ReadRequest& tensor, const StoredPart& part,
                              uint64_t string_offset, ReadRequest& request) {
  const uint64_t element_size = format::ElementSize(tensor.entry.dtype);
  uint64_t offset = string_offset;
  if (element_size != 0) {
    BoxCopy copy(part.place, WholeBox(tensor.entry.shape), element_size);
    if (copy.num_runs() > 1) {
      request.spread = std::make_shared<const Spread>(Spread{std::move(copy), tensor.out});
      return;
    }
    offset = copy.TargetOffset(0);
  }
  request.out = tensor.out.subspan(offset, part.entry.size);
  request.fresh = tensor.fresh;
}

}  // namespace tensorbundle::engine
