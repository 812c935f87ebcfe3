#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/register.h"
#include "checksum/crc32c.h"
#include "checksum/fingerprint.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// A contiguous Python buffer for the length of one call.
class Buffer {
 public:
  Buffer(const py::object& object, int flags) {
    if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw py::error_already_set();
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { PyBuffer_Release(&view_); }

  MutableBytes bytes() const {
    return {static_cast<std::byte*>(view_.buf), static_cast<size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

uint32_t Crc32cOf(const py::object& data, uint32_t value) {
  const Buffer buffer(data, PyBUF_SIMPLE);
  const GilRelease release;  // the checksum of gigabytes takes a while
  return checksum::Extend(checksum::Crc32c(value), buffer.bytes()).value();
}

uint32_t CopyCrc32c(const py::object& destination, const py::object& source, uint32_t value) {
  const Buffer to(destination, PyBUF_WRITABLE);
  const Buffer from(source, PyBUF_SIMPLE);
  if (to.bytes().size() != from.bytes().size()) {
    throw py::value_error("destination and source differ in size");
  }
  const GilRelease release;  // as above
  return checksum::ExtendCopy(checksum::Crc32c(value), to.bytes(), from.bytes()).value();
}

// For benchmarks: under a fixed key.
py::bytes FingerprintOf(const py::object& data) {
  const Buffer buffer(data, PyBUF_SIMPLE);
  checksum::Fingerprint value;
  {
    const py::gil_scoped_release release;  // as above
    const checksum::FingerprintKey key({1, 2});
    checksum::Fingerprinter fingerprinter(key);
    fingerprinter.Update(buffer.bytes());
    value = fingerprinter.value();
  }
  const uint64_t words[2] = {value.low, value.high};
  return {reinterpret_cast<const char*>(words), sizeof(words)};
}

}  // namespace

void RegisterChecksum(py::module_& module) {
  module.def("crc32c", &Crc32cOf, py::arg("data"), py::arg("value") = 0);
  module.def("copy_crc32c", &CopyCrc32c, py::arg("destination"), py::arg("source"),
             py::arg("value") = 0);
  module.def("fingerprint", &FingerprintOf, py::arg("data"));
}

}  // namespace tensorbundle::bindings
