#include "bindings/tensor_objects.h"

#include <utility>

#include "bindings/arrays.h"
#include "bindings/entries.h"
#include "bindings/errors.h"
#include "bindings/mapping.h"

namespace py = pybind11;

namespace tensorbundle::bindings {

py::array TensorObjects::Array(const engine::ReadRequest& request, Bytes bytes,
                               const py::dict& dtypes, const py::object& owner,
                               bool writable) const {
  ThrowIfError(Placed(request, CheckRank(request.entry.shape)));
  return MakeArray(DTypeOf(request.entry.dtype, dtypes), request.entry.shape, bytes, owner,
                   writable);
}

py::list TensorObjects::Elements(const std::vector<engine::ReadRequest>& tensors,
                                 const engine::Assembly& assembly, size_t index,
                                 bool verify) const {
  const engine::ReadRequest& tensor = tensors[index];
  if (tensor.entry.slices.empty()) return ElementsOf(tensor, tensor.out, verify);
  return ElementsOfParts(tensor.name, assembly.PartsOf(index),
                         engine::WholeBox(tensor.entry.shape), tensor.out, verify);
}

py::list TensorObjects::ElementsOfParts(const std::string& name,
                                        std::span<const engine::StoredPart> parts,
                                        const engine::Box& wanted, Bytes stored,
                                        bool verify) const {
  py::list out(engine::Volume(wanted));
  for (const engine::StoredPart& part : parts) {
    const engine::ReadRequest request = engine::RequestOf(name, part);
    const py::list elements = ElementsOf(request, stored.first(part.entry.size), verify);
    PlaceElements(elements, part.place, wanted, out);
    stored = stored.subspan(part.entry.size);
  }
  return out;
}

py::list TensorObjects::ElementsOf(const engine::ReadRequest& request, Bytes stored,
                                   bool verify) const {
  ThrowIfError(Placed(request, CheckRank(request.entry.shape)));
  auto elements = ElementsToPython(request, stored, bundle_.byte_order(), verify);
  if (!elements.ok()) ThrowIfError(Placed(request, std::move(elements).status()));
  return std::move(elements).value();
}

// Names the place of what could not be made of a tensor's bytes.
Status TensorObjects::Placed(const engine::ReadRequest& request, Status status) const {
  if (!request.entry.slices.empty()) {
    return std::move(status).WithKey(request.name).WithPath(bundle_.index_path());
  }
  if (!request.part.empty()) status = std::move(status).Within(request.part);
  return std::move(status)
      .WithKey(request.name)
      .WithShard(request.entry.shard_id)
      .WithOffset(request.entry.offset)
      .WithPath(bundle_.ShardPath(request.entry.shard_id));
}

}  // namespace tensorbundle::bindings
