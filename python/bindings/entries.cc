#include "bindings/entries.h"

#include <string_view>
#include <utility>

#include "bindings/errors.h"

namespace py = pybind11;

namespace tensorbundle::bindings {

using format::Entry;

py::tuple ShapeToPython(const format::Shape& shape) {
  py::tuple out(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) out[i] = py::int_(shape[i]);
  return out;
}

py::list SlicesToPython(const std::vector<format::Slice>& slices) {
  py::list out;
  for (const format::Slice& slice : slices) {
    py::list extents;
    for (const format::Extent& extent : slice) {
      extents.append(py::make_tuple(extent.start, extent.length));
    }
    out.append(py::tuple(extents));
  }
  return out;
}

py::tuple EntryToPython(const Entry& entry) {
  return py::make_tuple(static_cast<int>(entry.dtype), ShapeToPython(entry.shape),
                        entry.shard_id, entry.offset, entry.size,
                        checksum::Unmask(entry.crc32c).value(), SlicesToPython(entry.slices));
}

py::tuple EntryToPython(const engine::V1Checkpoint::Tensor& tensor) {
  const bool is_whole =
      tensor.slices.size() == 1 && engine::IsWhole(tensor.slices.front(), tensor.shape);
  const uint32_t element_size = format::ElementSize(tensor.dtype);
  const uint64_t count = ValueOrThrow(format::NumElements(tensor.shape, element_size));
  return py::make_tuple(static_cast<int>(tensor.dtype), ShapeToPython(tensor.shape),
                        tensor.files.front(), py::none(), count * element_size, py::none(),
                        is_whole ? py::list() : SlicesToPython(tensor.slices));
}

py::list BytesToPython(std::span<const Bytes> elements) {
  py::list out(elements.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    const std::string_view text = AsText(elements[i]);
    out[i] = py::bytes(text.data(), text.size());
  }
  return out;
}

Result<py::list> ElementsToPython(const engine::ReadRequest& request, Bytes stored,
                                  std::endian order, bool verify) {
  TB_ASSIGN_OR_RETURN(const auto elements,
                      format::DecodeElements(request.entry, stored, order, verify));
  return BytesToPython(elements);
}

void PlaceElements(const py::list& elements, const engine::Box& from, const engine::Box& to,
                   py::list& out) {
  if (!engine::Intersection(from, to).has_value()) return;
  const engine::BoxCopy copy(from, to, 1);  // in elements
  for (uint64_t run = 0; run < copy.num_runs(); ++run) {
    const uint64_t source = copy.SourceOffset(run);
    const uint64_t target = copy.TargetOffset(run);
    for (uint64_t i = 0; i < copy.run_size(); ++i) {
      out[target + i] = py::object(elements[source + i]);
    }
  }
}

}  // namespace tensorbundle::bindings
