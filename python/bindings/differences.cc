#include "bindings/differences.h"

#include "bindings/entries.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/names.h"
#include "engine/diff.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

using engine::Difference;
using engine::TensorDifference;

py::tuple SpecToPython(const format::Entry& entry) {
  return py::make_tuple(static_cast<int>(entry.dtype), ShapeToPython(entry.shape));
}

py::tuple ToPython(const TensorDifference& found) {
  py::object first = py::none();
  py::object second = py::none();
  if (found.difference != Difference::kAdded) first = SpecToPython(found.first);
  if (found.difference != Difference::kRemoved) second = SpecToPython(found.second);
  return py::make_tuple(NameToPython(found.name), first, second);
}

const char* KeyOf(Difference difference) {
  switch (difference) {
    case Difference::kSame: return "same";
    case Difference::kRemoved: return "removed";
    case Difference::kAdded: return "added";
    case Difference::kChanged: return "changed";
    case Difference::kDiffers: return "different";
    case Difference::kUntold: break;
  }
  return "unknown";
}

}  // namespace

py::dict DiffToPython(const engine::Bundle& first, const engine::Bundle& second) {
  auto differences = [&] {
    const GilRelease release;  // reads both indexes
    return engine::Diff(first, second);
  }();
  const std::vector<TensorDifference> found = ValueOrThrow(std::move(differences));
  py::dict out;
  for (const char* key : {"same", "removed", "added", "changed", "different", "unknown"}) {
    out[key] = py::list();
  }
  for (const TensorDifference& tensor : found) {
    auto list = out[KeyOf(tensor.difference)].cast<py::list>();
    if (tensor.difference == Difference::kSame) {
      list.append(NameToPython(tensor.name));
    } else {
      list.append(ToPython(tensor));
    }
  }
  return out;
}

}  // namespace tensorbundle::bindings
