#include "bindings/observer.h"

#include "bindings/gil.h"

namespace py = pybind11;

namespace tensorbundle::bindings {

bool PythonObserver::Poll(uint64_t done, uint64_t total) {
  if (!is_last_ && IsFinalizing()) return false;  // nobody is left to ask
  const py::gil_scoped_acquire gil;
  if (PyErr_Occurred() != nullptr || PyErr_CheckSignals() != 0) return false;
  if (progress_.is_none()) return true;
  // The C API, not a pybind11 call: a raised exception must stay set, not unwind
  // through the engine.
  PyObject* result =
      PyObject_CallFunction(progress_.ptr(), "KK", static_cast<unsigned long long>(done),
                            static_cast<unsigned long long>(total));
  Py_XDECREF(result);
  return result != nullptr;
}

}  // namespace tensorbundle::bindings
