#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "bindings/backends.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/observer.h"
#include "bindings/register.h"
#include "bindings/save_report.h"
#include "bindings/saved_tensors.h"
#include "engine/backend_choice.h"
#include "engine/partition.h"
#include "engine/stream_writer.h"
#include "engine/writer.h"
#include "io/storage.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// A save of unknown size: not a small one.
constexpr uint64_t kUnknownSize = UINT64_MAX;

class PyWriter {
 public:
  // `storage` in place of the file system; usually null.
  PyWriter(const std::string& prefix, uint32_t num_shards, uint64_t alignment, bool durable,
           const std::string& backend, size_t num_threads, uint64_t block_size,
           uint32_t queue_depth, bool partial, std::shared_ptr<io::Storage> storage) {
    engine::SaveOptions options;
    options.num_shards = num_shards;
    options.alignment = alignment;
    options.durability = durable ? engine::Durability::kFull : engine::Durability::kNone;
    options.num_threads = num_threads;
    options.transfer.block_size = block_size;
    options.transfer.queue_depth = queue_depth;
    auto open = [&]() -> Result<std::unique_ptr<engine::StreamWriter>> {
      const GilRelease release;  // probes the directory, takes the lock
      if (storage == nullptr) {
        TB_ASSIGN_OR_RETURN(
            choice_, engine::ChooseBackend(BackendFromName(backend), prefix, kUnknownSize));
        options.direct = choice_.backend != io::Backend::kBuffered;
        options.memory_granule = choice_.memory_granule;
        storage = io::MakeStorage(choice_.backend);
      }
      return engine::StreamWriter::Open(
          std::move(storage), prefix, options,
          partial ? engine::Coverage::kPartial : engine::Coverage::kFull);
    };
    writer_ = ValueOrThrow(open());
  }

  PyWriter(const PyWriter&) = delete;
  PyWriter& operator=(const PyWriter&) = delete;

  // In a child that was forked meanwhile the files are the parent's, who goes on with them.
  ~PyWriter() {
    if (::getpid() != owner_) static_cast<void>(writer_.release());
  }

  // The one tensor of `tensors`.
  void Add(const SavedTensors& tensors) {
    PythonObserver observer(py::none{});
    const Status status = [&] {
      const GilRelease release;  // copies, or writes
      return writer_->Add(tensors.views().front(), &observer);
    }();
    if (!status.ok()) tensors.RaiseFailure();
    ThrowIfError(status);
  }

  void AddPart(const SavedTensors& tensors, const format::Shape& full_shape,
               format::Shape offsets) {
    PythonObserver observer(py::none{});
    const Status status = [&]() -> Status {
      const GilRelease release;  // copies, or writes
      const engine::TensorView& part = tensors.views().front();
      const engine::Box box = {std::move(offsets), {part.shape.begin(), part.shape.end()}};
      const auto slice = engine::SliceOf(box, full_shape);
      if (!slice.ok()) {
        return engine::AsArgumentError(slice.status()).WithKey(std::string(part.name));
      }
      return writer_->AddPart(part, full_shape, *slice, &observer);
    }();
    if (!status.ok()) tensors.RaiseFailure();
    ThrowIfError(status);
  }

  py::dict Finish() {
    PythonObserver observer(py::none{});
    auto finish = [&] {
      const GilRelease release;  // writes and syncs
      return writer_->Finish(&observer);
    };
    return ReportToPython(ValueOrThrow(finish()), choice_);
  }

  void Abort() {
    const GilRelease release;  // waits for an add under way, removes files
    writer_->Abort();
  }

  bool IsOpen() const { return writer_->is_open(); }

 private:
  const pid_t owner_ = ::getpid();
  engine::BackendChoice choice_;
  std::unique_ptr<engine::StreamWriter> writer_;
};

}  // namespace

void RegisterWriter(py::module_& module) {
  py::class_<PyWriter>(module, "Writer")
      .def(py::init<const std::string&, uint32_t, uint64_t, bool, const std::string&, size_t,
                    uint64_t, uint32_t, bool, std::shared_ptr<io::Storage>>(),
           py::arg("prefix"), py::kw_only(), py::arg("num_shards"), py::arg("alignment"),
           py::arg("durable"), py::arg("backend"), py::arg("num_threads"),
           py::arg("block_size"), py::arg("queue_depth"), py::arg("partial"),
           py::arg("storage") = nullptr)
      .def("add", &PyWriter::Add, py::arg("tensors"))
      .def("add_part", &PyWriter::AddPart, py::arg("tensors"), py::arg("full_shape"),
           py::arg("offsets"))
      .def("finish", &PyWriter::Finish)
      .def("abort", &PyWriter::Abort)
      .def_property_readonly("is_open", &PyWriter::IsOpen);
}

}  // namespace tensorbundle::bindings
