#include "bindings/names.h"

namespace py = pybind11;

namespace tensorbundle::bindings {

py::str NameToPython(std::string_view name) {
  PyObject* text = PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()),
                                        "surrogateescape");
  if (text == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(text);
}

std::string NameFromPython(py::handle name) {
  py::object bytes = py::reinterpret_borrow<py::object>(name);
  if (PyUnicode_Check(name.ptr())) {
    // A str of ASCII is its own UTF-8: no object is made for it.
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(name.ptr(), &length);
    if (text != nullptr) return {text, static_cast<size_t>(length)};
    PyErr_Clear();
    bytes = py::reinterpret_steal<py::object>(
        PyUnicode_AsEncodedString(name.ptr(), "utf-8", "surrogateescape"));
    if (!bytes) throw py::error_already_set();
  }
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(bytes.ptr(), &data, &size) != 0) throw py::error_already_set();
  return {data, static_cast<size_t>(size)};
}

}  // namespace tensorbundle::bindings
