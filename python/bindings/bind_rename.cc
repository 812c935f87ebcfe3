#include <pybind11/pybind11.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/names.h"
#include "bindings/register.h"
#include "engine/rename.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// `names` is [(from, to)].  Returns the number of tensors, and that of those renamed.
py::tuple Rename(const std::string& prefix, const py::list& names) {
  std::vector<engine::NewName> renames;
  for (const py::handle pair : names) {
    const auto both = pair.cast<py::tuple>();
    renames.push_back({NameFromPython(both[0]), NameFromPython(both[1])});
  }
  auto rename = [&] {
    const GilRelease release;  // reads and writes an index
    return engine::Rename(io::MakeStorage(io::Backend::kBuffered), prefix, renames);
  };
  const engine::RenameReport report = ValueOrThrow(rename());
  return py::make_tuple(report.num_tensors, report.num_renamed);
}

}  // namespace

void RegisterRename(py::module_& module) {
  module.def("rename", &Rename, py::arg("prefix"), py::arg("names"));
}

}  // namespace tensorbundle::bindings
