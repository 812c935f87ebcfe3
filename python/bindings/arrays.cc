#include "bindings/arrays.h"

#include <string>
#include <vector>

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

constexpr size_t kNumpyMaxRank = 64;  // NPY_MAXDIMS since NumPy 2.0; 32 before

}  // namespace

Status CheckRank(const format::Shape& shape) {
  if (shape.size() <= kNumpyMaxRank) return Status();
  return Status(Code::kUnsupportedRank,
                "NumPy has no arrays of rank " + std::to_string(shape.size()));
}

py::array NewArray(const py::dtype& dtype, const format::Shape& shape) {
  return {dtype, std::vector<py::ssize_t>(shape.begin(), shape.end())};
}

py::array MakeArray(const py::dtype& dtype, const format::Shape& shape, Bytes bytes,
                    const py::object& owner, bool writable) {
  const std::vector<py::ssize_t> dims(shape.begin(), shape.end());
  py::array array(dtype, dims, {}, bytes.data(), owner);
  // As pybind11 itself does for Eigen: a call of setflags() costs as much as the array.
  if (!writable) {
    py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  }
  return array;
}

}  // namespace tensorbundle::bindings
