#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "bindings/backends.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/latch.h"
#include "bindings/names.h"
#include "bindings/observer.h"
#include "bindings/register.h"
#include "bindings/save_report.h"
#include "bindings/saved_tensors.h"
#include "engine/backend_choice.h"
#include "engine/spare_files.h"
#include "engine/tensor_view.h"
#include "engine/writer.h"
#include "io/backend.h"
#include "io/storage.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

uint64_t TotalBytes(std::span<const engine::TensorView> views) {
  uint64_t total = 0;
  for (const engine::TensorView& view : views) total += view.size;
  return total;
}

struct SaveArguments {
  std::string prefix;
  std::optional<io::Backend> backend;  // absent: auto
  engine::SaveOptions options;
  std::shared_ptr<io::Storage> storage;  // in place of the file system; usually null
};

Result<py::dict> RunSave(const SaveArguments& arguments, const SavedTensors& tensors) {
  const std::span<const engine::TensorView> views = tensors.views();
  engine::BackendChoice choice;
  auto save = [&]() -> Result<engine::SaveReport> {
    const GilRelease release;  // checksums, copies and all I/O
    if (arguments.storage != nullptr) {
      return engine::Save(*arguments.storage, arguments.prefix, views, arguments.options,
                          tensors.partitioned());
    }
    TB_ASSIGN_OR_RETURN(
        choice, engine::ChooseBackend(arguments.backend, arguments.prefix, TotalBytes(views)));
    engine::SaveOptions options = arguments.options;
    options.direct = choice.backend != io::Backend::kBuffered;
    options.memory_granule = choice.memory_granule;
    return engine::Save(*io::MakeStorage(choice.backend), arguments.prefix, views, options,
                        tensors.partitioned());
  };
  TB_ASSIGN_OR_RETURN(const engine::SaveReport report, save());
  return ReportToPython(report, choice);
}

// The caller keeps `tensors`, and so the arrays whose memory the views borrow.
py::dict Save(const std::string& prefix, const SavedTensors& tensors, uint32_t num_shards,
              uint64_t alignment, bool durable, const std::string& backend, bool snapshot,
              std::optional<bool> zero_copy, const std::string& previous, size_t num_threads,
              uint64_t block_size, uint32_t queue_depth, py::object progress,
              std::shared_ptr<Latch> borrowed_written,
              std::shared_ptr<engine::SpareFiles> spares,
              std::shared_ptr<io::Storage> storage) {
  PythonObserver observer(std::move(progress));
  SaveArguments arguments;
  arguments.prefix = prefix;
  arguments.backend = BackendFromName(backend);
  arguments.options.num_shards = num_shards;
  arguments.options.alignment = alignment;
  arguments.options.durability =
      durable ? engine::Durability::kFull : engine::Durability::kNone;
  arguments.options.snapshot = snapshot;
  if (zero_copy.has_value()) {
    arguments.options.zero_copy =
        *zero_copy ? engine::ZeroCopy::kAlways : engine::ZeroCopy::kNever;
  }
  arguments.options.previous = previous;
  arguments.options.num_threads = num_threads;
  arguments.options.transfer.block_size = block_size;
  arguments.options.transfer.queue_depth = queue_depth;
  arguments.options.spares = spares.get();
  arguments.options.observer = &observer;
  if (borrowed_written != nullptr) {
    arguments.options.on_borrowed_written = [borrowed_written] { borrowed_written->Open(); };
  }
  arguments.storage = std::move(storage);
  Result<py::dict> report = RunSave(arguments, tensors);
  if (!report.ok()) tensors.RaiseFailure();
  return ValueOrThrow(std::move(report));
}

}  // namespace

void RegisterSave(py::module_& module) {
  using engine::SpareFiles;
  py::class_<SpareFiles, std::shared_ptr<SpareFiles>>(module, "SpareFiles")
      .def(py::init([] {
        return std::make_shared<SpareFiles>(io::MakeStorage(io::Backend::kBuffered));
      }))
      .def(
          "keep",
          [](SpareFiles& spares, const std::string& path) {
            // The index is gone, but nobody has made that durable.
            const bool is_settled = false;
            return spares.Keep(*io::MakeStorage(io::Backend::kBuffered), path, is_settled);
          },
          py::arg("path"), py::call_guard<GilRelease>())
      .def("clear", &SpareFiles::Clear, py::call_guard<GilRelease>());
  module.def("save", &Save, py::arg("prefix"), py::arg("tensors"), py::kw_only(),
             py::arg("num_shards"), py::arg("alignment"), py::arg("durable"),
             py::arg("backend"), py::arg("snapshot"), py::arg("zero_copy") = std::nullopt,
             py::arg("previous") = std::string(), py::arg("num_threads"),
             py::arg("block_size"), py::arg("queue_depth"), py::arg("progress"),
             py::arg("borrowed_written"), py::arg("spares") = nullptr,
             py::arg("storage") = nullptr);
}

}  // namespace tensorbundle::bindings
