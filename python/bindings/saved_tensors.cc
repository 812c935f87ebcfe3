#include "bindings/saved_tensors.h"

#include <algorithm>
#include <string>
#include <utility>

#include "bindings/errors.h"
#include "bindings/names.h"
#include "bindings/register.h"
#include "engine/partition.h"
#include "engine/tensor_view.h"
#include "format/dtype.h"
#include "format/elements.h"
#include "format/slices.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

static_assert(sizeof(py::ssize_t) == sizeof(uint64_t));

// NumPy's own numbers, which are signed but never negative.
std::span<const uint64_t> ShapeOf(const py::array& array) {
  return {reinterpret_cast<const uint64_t*>(array.shape()), static_cast<size_t>(array.ndim())};
}

format::Shape ShapeOf(const py::tuple& sizes) {
  format::Shape shape;
  for (const py::handle size : sizes) shape.push_back(size.cast<uint64_t>());
  return shape;
}

// Of a value as tensors.adapt() gives it.
format::Shape ShapeOf(format::DType dtype, const py::object& value) {
  if (!format::HasElementSize(dtype)) {
    return ShapeOf(value.cast<py::tuple>()[0].cast<py::tuple>());
  }
  const auto array = value.cast<py::array>();
  const std::span<const uint64_t> shape = ShapeOf(array);
  return {shape.begin(), shape.end()};
}

bool IsContiguous(const py::array& array) { return (array.flags() & py::array::c_style) != 0; }

bool IsOtherByteOrder(const py::array& array) {
  return array.dtype().byteorder() == '>';  // NumPy writes native order as '='
}

Bytes BytesOf(const py::array& array) {
  return {static_cast<const std::byte*>(array.data()), static_cast<size_t>(array.nbytes())};
}

void SetContiguous(const py::array& array, engine::TensorView& view) {
  const Bytes bytes = BytesOf(array);
  view.size = bytes.size();
  if (!bytes.empty()) view.contiguous = bytes;
}

void SetStrided(const py::array& array, unsigned negated, engine::TensorView& view) {
  const Bytes bytes = BytesOf(array);
  view.size = bytes.size();
  if (bytes.empty()) return;
  engine::StridedLayout layout;
  layout.data = bytes.data();
  layout.shape.assign(view.shape.begin(), view.shape.end());
  layout.strides.assign(array.strides(), array.strides() + array.ndim());
  layout.element_size = static_cast<uint32_t>(array.itemsize());
  // Of floats and complex numbers, the only ones with a sign to flip, the part that is
  // swapped as one is a component.
  layout.component_size = format::InfoOf(view.dtype).swap_size;
  if (IsOtherByteOrder(array)) layout.swap_size = layout.component_size;
  layout.negate_imaginary = (negated & 1) != 0;
  layout.negate_all = (negated & 2) != 0;
  view.staged = engine::MakeStridedSource(std::move(layout));
}

std::vector<Bytes> BytesOf(const py::list& strings) {
  std::vector<Bytes> elements;
  elements.reserve(strings.size());
  for (const py::handle string : strings) {
    char* data = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(string.ptr(), &data, &size) != 0) {
      throw py::error_already_set();
    }
    elements.push_back(AsBytes({data, static_cast<size_t>(size)}));
  }
  return elements;
}

// Of strings or variants.
void SetElements(format::DType dtype, const py::list& elements, engine::TensorView& view) {
  if (dtype == format::DType::kVariant) {
    engine::SetVariants(BytesOf(elements), view);
  } else {
    ThrowIfError(engine::SetStrings(BytesOf(elements), view));
  }
}

void RefuseIfError(Status status, const std::string& name) {
  ThrowIfError(engine::AsArgumentError(std::move(status)).WithKey(name));
}

}  // namespace

SavedTensors::SavedTensors(py::dict numbers)
    : numbers_(std::move(numbers)),
      array_type_(py::module_::import("numpy").attr("ndarray")) {}

py::object SavedTensors::TakePlain(const py::iterator& items, const py::bytes& outer) {
  ReserveFor(items);
  const std::string_view prefix = outer;
  // The C API, not py::iterator, which keeps each pair until it has the next: a dict uses
  // one pair again and again if nobody else holds it.
  while (PyObject* next = PyIter_Next(items.ptr())) {
    const auto pair = py::reinterpret_steal<py::object>(next);
    const bool is_pair = PyTuple_CheckExact(next) && PyTuple_GET_SIZE(next) == 2;
    if (!is_pair ||
        !TryAddPlain(prefix, PyTuple_GET_ITEM(next, 0), PyTuple_GET_ITEM(next, 1))) {
      return pair;
    }
  }
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
  return py::none();
}

// A dict tells how many follow; what other iterators tell is not to be trusted.
void SavedTensors::ReserveFor(const py::iterator& items) {
  if (Py_TYPE(items.ptr()) != &PyDictIterItem_Type) return;
  const Py_ssize_t count = PyObject_LengthHint(items.ptr(), 0);
  if (count < 0) throw py::error_already_set();
  list_.Reserve(static_cast<size_t>(count));
}

bool SavedTensors::TryAddPlain(std::string_view outer, PyObject* name, PyObject* value) {
  if (Py_TYPE(value) != reinterpret_cast<PyTypeObject*>(array_type_.ptr())) return false;
  if (!PyUnicode_Check(name)) return false;
  auto array = py::reinterpret_borrow<py::array>(value);
  if (!IsContiguous(array) || !KnowsDType(array)) return false;
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(name, &size);  // a str keeps its own UTF-8
  if (text == nullptr) {
    PyErr_Clear();  // a lone surrogate: a byte of a name that is not UTF-8
    return false;
  }
  engine::TensorView& view =
      list_.Add(outer, {text, static_cast<size_t>(size)}, ShapeOf(array));
  view.dtype = last_number_;
  SetContiguous(array, view);
  owners_.push_back(std::move(array));
  return true;
}

// Only native byte order is in the dict.
bool SavedTensors::KnowsDType(const py::array& array) {
  const py::dtype dtype = array.dtype();
  if (dtype.is(last_dtype_)) return true;
  PyObject* number = PyDict_GetItemWithError(numbers_.ptr(), dtype.ptr());
  if (number == nullptr) {
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    return false;
  }
  last_number_ = format::DTypeFromNumber(py::handle(number).cast<uint64_t>()).value();
  last_dtype_ = dtype;
  return true;
}

void SavedTensors::Add(py::handle name, uint64_t number, const py::object& value,
                       unsigned negated) {
  AddView(NameFromPython(name), number, value, negated);
}

engine::TensorView& SavedTensors::AddView(const std::string& name, uint64_t number,
                                          const py::object& value, unsigned negated) {
  const auto dtype = format::DTypeFromNumber(number).value();
  engine::TensorView& view = list_.Add("", name, ShapeOf(dtype, value));
  owners_.push_back(value);
  if (!format::HasElementSize(dtype)) {
    SetElements(dtype, value.cast<py::tuple>()[1].cast<py::list>(), view);
    return view;
  }
  const auto array = value.cast<py::array>();
  view.dtype = dtype;
  if (IsContiguous(array) && !IsOtherByteOrder(array) && negated == 0) {
    SetContiguous(array, view);
  } else {
    SetStrided(array, negated, view);
  }
  return view;
}

void SavedTensors::AddPartitioned(py::handle name, const py::tuple& full_shape,
                                  const py::list& parts, bool partial) {
  engine::PartitionedTensor tensor;
  tensor.name = NameFromPython(name);
  tensor.entry.shape = ShapeOf(full_shape);
  for (const py::handle item : parts) {
    const auto part = item.cast<py::tuple>();
    tensor.entry.dtype = format::DTypeFromNumber(part[1].cast<uint64_t>()).value();
    const engine::Box box = {ShapeOf(part[0].cast<py::tuple>()),
                             ShapeOf(tensor.entry.dtype, part[2])};
    auto slice = engine::SliceOf(box, tensor.entry.shape);
    RefuseIfError(slice.status(), tensor.name);
    tensor.entry.slices.push_back(std::move(slice).value());
  }
  RefuseIfError(
      engine::CheckParts(tensor.entry.shape, tensor.entry.slices,
                         partial ? engine::Coverage::kPartial : engine::Coverage::kFull),
      tensor.name);
  const bool is_whole = tensor.entry.slices.size() == 1 &&
                        engine::IsWhole(tensor.entry.slices.front(), tensor.entry.shape);
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto part = parts[i].cast<py::tuple>();
    const std::string key =
        is_whole ? tensor.name : format::EncodeSliceKey(tensor.name, tensor.entry.slices[i]);
    AddView(key, part[1].cast<uint64_t>(), part[2], part[3].cast<unsigned>()).is_part =
        !is_whole;
  }
  if (!is_whole) partitioned_.push_back(std::move(tensor));
}

void SavedTensors::AddStream(py::handle name, uint64_t number, const py::tuple& shape,
                             uint64_t size, const py::object& read) {
  engine::TensorView& view = list_.Add("", NameFromPython(name), ShapeOf(shape));
  view.dtype = format::DTypeFromNumber(number).value();
  view.size = size;
  if (size > 0) view.staged = std::make_unique<CallbackSource>(read, failure_);
  owners_.push_back(read);
}

void SavedTensors::ReleaseCopied() {
  for (size_t i = 0; i < owners_.size(); ++i) {
    const engine::TensorView& view = list_.views()[i];
    const bool has_elements = view.crc.has_value();
    if (!view.borrowed && !has_elements) owners_[i] = py::none();
  }
}

void SavedTensors::Release() {
  partitioned_.clear();
  list_.Clear();
  // Last, since what goes here may run any Python code.
  std::vector<py::object> owners;
  owners.swap(owners_);
}

void RegisterSavedTensors(py::module_& module) {
  py::class_<SavedTensors>(module, "SavedTensors")
      .def(py::init<py::dict>(), py::arg("numbers"))
      .def("take_plain", &SavedTensors::TakePlain, py::arg("items"), py::arg("outer"))
      .def("add", &SavedTensors::Add, py::arg("name"), py::arg("number"), py::arg("value"),
           py::arg("negated"))
      .def("add_stream", &SavedTensors::AddStream, py::arg("name"), py::arg("number"),
           py::arg("shape"), py::arg("size"), py::arg("read"))
      .def("add_partitioned", &SavedTensors::AddPartitioned, py::arg("name"),
           py::arg("full_shape"), py::arg("parts"), py::arg("partial"))
      .def("release", &SavedTensors::Release);
}

}  // namespace tensorbundle::bindings
