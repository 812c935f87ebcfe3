#include "bindings/errors.h"

#include "bindings/names.h"
#include "bindings/register.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

constexpr char kFactory[] = "_error_factory";

py::object OptionalText(const std::string& text) {
  return text.empty() ? py::object(py::none()) : py::object(NameToPython(text));
}

}  // namespace

py::object MakeException(const Status& status) {
  py::object factory = py::module_::import("tensorbundle._core").attr(kFactory);
  py::object shard = py::none();
  if (status.shard()) shard = py::int_(*status.shard());
  py::object offset = py::none();
  if (status.offset()) offset = py::int_(*status.offset());
  return factory(py::str(CodeName(status.code())), NameToPython(status.message()),
                 NameToPython(status.ToString()), status.error_number(),
                 OptionalText(status.path()), OptionalText(status.key()), shard, offset,
                 IsCorruption(status.code()), IsUnsupported(status.code()));
}

void ThrowIfError(const Status& status) {
  if (status.ok()) return;
  // An exception already set by Python code (KeyboardInterrupt from a signal, or the
  // progress callback's own) is what the caller must see.
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
  const py::object exception = MakeException(status);
  PyErr_SetObject(py::type::handle_of(exception).ptr(), exception.ptr());
  throw py::error_already_set();
}

void RegisterErrors(py::module_& module) {
  module.def(
      "set_error_factory",
      [module](py::object factory) mutable { module.attr(kFactory) = std::move(factory); },
      py::arg("factory"));
}

}  // namespace tensorbundle::bindings
