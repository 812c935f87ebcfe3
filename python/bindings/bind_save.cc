#include <pybind11/numpy.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bindings/backends.h"
#include "bindings/errors.h"
#include "bindings/names.h"
#include "bindings/observer.h"
#include "bindings/register.h"
#include "bindings/stages.h"
#include "engine/backend_choice.h"
#include "engine/tensor_list.h"
#include "engine/writer.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

bool IsOtherByteOrder(const py::array& array) {
  return array.dtype().byteorder() == '>';  // NumPy writes native order as '='
}

format::Shape ShapeOf(const py::array& array) {
  return {array.shape(), array.shape() + array.ndim()};
}

// `negated` is what tensorbundle.tensors.View says of it.
void SetArray(const py::array& array, unsigned negated, engine::TensorView& view) {
  view.size = static_cast<uint64_t>(array.nbytes());
  const auto* data = static_cast<const std::byte*>(array.data());
  if (view.size == 0) return;
  if ((array.flags() & py::array::c_style) != 0 && !IsOtherByteOrder(array) && negated == 0) {
    view.contiguous = Bytes(data, view.size);
    return;
  }
  engine::StridedLayout layout;
  layout.data = data;
  layout.shape = ShapeOf(array);
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

// `value` is (shape, [bytes, ...]) with the elements in C order.
void SetStringTensor(const py::tuple& value, engine::TensorView& view) {
  const auto strings = value[1].cast<py::list>();
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
  ThrowIfError(engine::SetStrings(std::move(elements), view));
}

// Of a tuple, or of an array.
format::Shape ShapeOf(const py::tuple& sizes) {
  format::Shape shape;
  for (const py::handle size : sizes) shape.push_back(size.cast<uint64_t>());
  return shape;
}

void AddTensors(const py::list& tensors, engine::TensorList& list) {
  list.Reserve(tensors.size());
  for (const py::handle tensor : tensors) {
    const auto item = py::reinterpret_borrow<py::tuple>(tensor);
    const std::string name = NameFromPython(item[0]);
    const auto dtype = format::DTypeFromNumber(item[1].cast<uint64_t>()).value();
    if (dtype == format::DType::kString) {
      const auto value = item[2].cast<py::tuple>();
      SetStringTensor(value, list.Add("", name, ShapeOf(value[0].cast<py::tuple>())));
    } else {
      const auto array = item[2].cast<py::array>();
      engine::TensorView& view = list.Add("", name, ShapeOf(array));
      view.dtype = dtype;
      SetArray(array, item[3].cast<unsigned>(), view);
    }
  }
}

py::dict ReportToPython(const engine::SaveReport& report,
                        const engine::BackendChoice& choice) {
  py::dict out;
  out["num_tensors"] = report.num_tensors;
  out["num_shards"] = report.num_shards;
  out["tensor_bytes"] = report.tensor_bytes;
  out["file_bytes"] = report.file_bytes;
  out["zero_copy_bytes"] = report.zero_copy_bytes;
  out["staged_bytes"] = report.staged_bytes;
  out["num_threads"] = report.num_threads;
  out["seconds"] = report.seconds;
  out["write_seconds"] = report.write_seconds;
  py::dict stages = StagesToPython(report.stages);
  stages["plan"] = report.plan_seconds;
  stages["publish"] = report.publish_seconds;
  stages["remove"] = report.remove_seconds;
  out["stages"] = stages;
  // io_uring may be granted to the probe, and refused to a thread a moment later.
  const bool refused = !report.queue_reason.empty();
  out["backend"] = py::str(io::BackendName(refused ? io::Backend::kDirect : choice.backend));
  out["backend_reason"] = refused ? report.queue_reason : choice.reason;
  return out;
}

uint64_t TotalBytes(std::span<const engine::TensorView> views) {
  uint64_t total = 0;
  for (const engine::TensorView& view : views) total += view.size;
  return total;
}

struct SaveArguments {
  std::string prefix;
  std::optional<io::Backend> backend;  // absent: auto
  engine::SaveOptions options;
};

Result<py::dict> RunSave(const SaveArguments& arguments,
                         std::span<const engine::TensorView> views) {
  engine::BackendChoice choice;
  auto save = [&]() -> Result<engine::SaveReport> {
    const py::gil_scoped_release release;  // checksums, copies and all I/O
    TB_ASSIGN_OR_RETURN(
        choice, engine::ChooseBackend(arguments.backend, arguments.prefix, TotalBytes(views)));
    engine::SaveOptions options = arguments.options;
    options.direct = choice.backend != io::Backend::kBuffered;
    options.memory_granule = choice.memory_granule;
    return engine::Save(*io::MakeStorage(choice.backend), arguments.prefix, views, options);
  };
  TB_ASSIGN_OR_RETURN(const engine::SaveReport report, save());
  return ReportToPython(report, choice);
}

// `tensors` is a list of (name, DataType number, array or string tensor, what of it is
// still to be negated).  The list
// keeps the arrays alive: the views borrow their memory.
py::dict Save(const std::string& prefix, const py::list& tensors, uint32_t num_shards,
              uint64_t alignment, bool durable, const std::string& backend, bool snapshot,
              size_t num_threads, uint64_t block_size, uint32_t queue_depth,
              py::object progress) {
  engine::TensorList list;
  AddTensors(tensors, list);
  PythonObserver observer(std::move(progress));
  SaveArguments arguments;
  arguments.prefix = prefix;
  arguments.backend = BackendFromName(backend);
  arguments.options.num_shards = num_shards;
  arguments.options.alignment = alignment;
  arguments.options.durability =
      durable ? engine::Durability::kFull : engine::Durability::kNone;
  arguments.options.snapshot = snapshot;
  arguments.options.num_threads = num_threads;
  arguments.options.block_size = block_size;
  arguments.options.queue_depth = queue_depth;
  arguments.options.observer = &observer;
  return ValueOrThrow(RunSave(arguments, list.views()));
}

}  // namespace

void RegisterSave(py::module_& module) {
  module.def("save", &Save, py::arg("prefix"), py::arg("tensors"), py::kw_only(),
             py::arg("num_shards"), py::arg("alignment"), py::arg("durable"),
             py::arg("backend"), py::arg("snapshot"), py::arg("num_threads"),
             py::arg("block_size"), py::arg("queue_depth"), py::arg("progress"));
}

}  // namespace tensorbundle::bindings
