#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/names.h"
#include "bindings/observer.h"
#include "bindings/register.h"
#include "engine/merge.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

py::list ToPython(const std::vector<std::string>& texts) {
  py::list out;
  for (const std::string& text : texts) out.append(NameToPython(text));
  return out;
}

py::dict Merge(const py::list& prefixes, const std::string& destination, bool delete_sources,
               bool allow_missing, size_t num_threads, py::object progress) {
  PythonObserver observer(std::move(progress));
  std::vector<std::string> sources;
  for (const py::handle prefix : prefixes) sources.push_back(NameFromPython(prefix));
  engine::MergeOptions options;
  options.delete_sources = delete_sources;
  options.allow_missing = allow_missing;
  options.num_threads = num_threads;
  options.observer = &observer;
  auto merge = [&] {
    const GilRelease release;  // checksums of the indexes and all I/O
    return engine::Merge(io::MakeStorage(io::Backend::kBuffered), sources, destination,
                         options);
  };
  const engine::MergeReport report = ValueOrThrow(merge());
  py::dict out;
  out["missing"] = ToPython(report.missing);
  out["num_tensors"] = report.num_tensors;
  out["num_shards"] = report.num_shards;
  out["file_bytes"] = report.file_bytes;
  out["linked_bytes"] = report.linked_bytes;
  out["copied_bytes"] = report.copied_bytes;
  out["copy_reason"] = NameToPython(report.copy_reason);
  out["remains"] = ToPython(report.remains);
  out["seconds"] = report.seconds;
  return out;
}

}  // namespace

void RegisterMerge(py::module_& module) {
  module.def("merge", &Merge, py::arg("prefixes"), py::arg("destination"), py::kw_only(),
             py::arg("delete_sources"), py::arg("allow_missing"), py::arg("num_threads"),
             py::arg("progress"));
}

}  // namespace tensorbundle::bindings
