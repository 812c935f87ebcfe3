#include <pybind11/pybind11.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/names.h"
#include "bindings/observer.h"
#include "bindings/register.h"
#include "engine/rename.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// `names` is [(from, to)]; an empty `destination` means in place.
py::dict Rename(const std::string& prefix, const py::list& names,
                const std::string& destination, size_t num_threads, py::object progress) {
  std::vector<engine::NewName> renames;
  for (const py::handle pair : names) {
    const auto both = pair.cast<py::tuple>();
    renames.push_back({NameFromPython(both[0]), NameFromPython(both[1])});
  }
  PythonObserver observer(std::move(progress));
  const engine::RenameOptions options{destination, {num_threads, &observer}};
  auto rename = [&] {
    const GilRelease release;  // reads and writes an index, links data files
    return engine::Rename(io::MakeStorage(io::Backend::kBuffered), prefix, renames, options);
  };
  const engine::RenameReport report = ValueOrThrow(rename());
  py::dict out;
  out["linked_bytes"] = report.adopted.linked_bytes;
  out["copied_bytes"] = report.adopted.copied_bytes;
  out["copy_reason"] = NameToPython(report.adopted.copy_reason);
  return out;
}

}  // namespace

void RegisterRename(py::module_& module) {
  module.def("rename", &Rename, py::arg("prefix"), py::arg("names"), py::kw_only(),
             py::arg("destination"), py::arg("num_threads"), py::arg("progress"));
}

}  // namespace tensorbundle::bindings
