#include <string>

#include "bindings/register.h"
#include "checksum/crc32c.h"
#include "checksum/paths.h"
#include "format/dtype.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

std::string Compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

py::dict BuildInfo() {
  py::list paths;
  for (const checksum::CpuPath& path : checksum::AvailablePaths()) {
    paths.append(py::str(path.name));
  }
  py::dict info;
  info["version"] = TENSORBUNDLE_VERSION;
  info["compiler"] = Compiler();
  info["crc32c"] = py::str(checksum::ActivePath());
  info["crc32c_available"] = paths;
  const io::UringSupport uring = io::ProbeUring();
  info["io_uring"] = uring.available;
  info["io_uring_reason"] = uring.reason;
  return info;
}

// Number, NumPy's name, TensorFlow's name, bytes per element: the table that
// tensorbundle/dtypes.py is built on.
py::list DTypes() {
  py::list all;
  for (const format::DTypeInfo& info : format::AllDTypes()) {
    all.append(py::make_tuple(static_cast<int>(info.dtype), py::str(info.name),
                              py::str(info.tf_name), info.element_size));
  }
  return all;
}

}  // namespace

void RegisterInfo(py::module_& module) {
  module.def("build_info", &BuildInfo);
  module.def("dtypes", &DTypes);
}

}  // namespace tensorbundle::bindings
