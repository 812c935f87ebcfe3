#include <string>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/register.h"
#include "engine/backend_choice.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// What a directory can do, and what "auto" makes of it for a large save there.
py::dict ProbeDirectory(const std::string& directory) {
  auto probe = [&] {
    const GilRelease release;  // writes a block to the device
    return io::ProbeDirectory(directory);
  };
  const io::PathTraits traits = ValueOrThrow(probe());
  const engine::BackendChoice choice =
      engine::ChooseAutomatically(traits, io::ProbeUring(), engine::kSmallSave);
  py::dict out;
  out["file_system"] = traits.file_system;
  out["is_network"] = traits.is_network;
  out["is_memory"] = traits.is_memory;
  out["direct"] = traits.direct;
  out["direct_reason"] = traits.direct_reason;
  out["offset_granule"] = traits.granule.offset;
  out["memory_granule"] = traits.granule.memory;
  out["auto"] = py::str(io::BackendName(choice.backend));
  out["auto_reason"] = choice.reason;
  out["smallest_direct_save"] = engine::kSmallSave;
  return out;
}

}  // namespace

void RegisterProbe(py::module_& module) {
  module.def("probe_directory", &ProbeDirectory, py::arg("directory"));
}

}  // namespace tensorbundle::bindings
