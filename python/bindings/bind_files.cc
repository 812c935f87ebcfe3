// Small files and locks of the package's own: in the core, since no signal handler of Python
// runs between two system calls here, so Ctrl-C leaves nothing half done.

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/register.h"
#include "engine/save_id.h"
#include "format/naming.h"
#include "io/posix_lock.h"
#include "io/small_file.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// Held from its making until release(), or the end of the object.
class FileLock {
 public:
  explicit FileLock(const std::string& path) : lock_(ValueOrThrow(io::TryLockFile(path))) {}
  void Release() { lock_.reset(); }

 private:
  std::unique_ptr<io::Lock> lock_;
};

void ReplaceFile(const std::string& path, const py::bytes& content, bool durable) {
  const auto hidden = [&] { return format::TemporaryPath(path, engine::NewSaveId()); };
  const Bytes bytes = AsBytes(std::string_view(content));
  auto replace = [&] {
    const GilRelease release;  // writes and syncs a file
    return io::ReplaceFile(path, hidden, bytes, durable);
  };
  ThrowIfError(replace());
}

}  // namespace

void RegisterFiles(py::module_& module) {
  py::class_<FileLock>(module, "FileLock")
      .def(py::init<const std::string&>(), py::arg("path"))
      .def("release", &FileLock::Release);
  module.def("replace_file", &ReplaceFile, py::arg("path"), py::arg("content"), py::kw_only(),
             py::arg("durable"));
  module.def("remove_unfinished",
             [](const std::string& path) { ThrowIfError(io::RemoveUnfinished(path)); });
}

}  // namespace tensorbundle::bindings
