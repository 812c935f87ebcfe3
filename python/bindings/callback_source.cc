#include "bindings/callback_source.h"

namespace py = pybind11;

namespace tensorbundle::bindings {

Status CallbackSource::Read(uint64_t offset, MutableBytes out) const {
  const py::gil_scoped_acquire gil;
  try {
    read_(offset,
          py::memoryview::from_memory(out.data(), static_cast<py::ssize_t>(out.size())));
    return Status();
  } catch (py::error_already_set& error) {
    if (!failure_->error.has_value()) failure_->error = error;
  }
  return Status(Code::kCancelled, "the tensor's bytes cannot be read");
}

}  // namespace tensorbundle::bindings
