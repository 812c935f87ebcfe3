#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/latch.h"
#include "bindings/observer.h"
#include "bindings/register.h"
#include "bindings/saved_tensors.h"
#include "engine/snapshot.h"
#include "io/aligned_buffer.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// Memory for copies, kept from one save to the next: fresh pages cost more than copying.
class SnapshotArena {
 public:
  explicit SnapshotArena(uint64_t size)
      : buffer_(ValueOrThrow(io::AlignedBuffer::Allocate(size))) {}

  uint64_t size() const { return buffer_.bytes().size(); }
  MutableBytes bytes() const { return buffer_.bytes(); }

 private:
  io::AlignedBuffer buffer_;
};

// Copies the tensors; those that fit may change from then on, while `arena` is to be left
// alone.  Returns (bytes copied, bytes of tensors that did not fit, seconds).
py::tuple TakeSnapshot(SavedTensors& tensors, const SnapshotArena& arena, size_t num_threads) {
  PythonObserver observer(py::none{});
  engine::SnapshotOptions options;
  options.num_threads = num_threads;
  options.observer = &observer;
  auto report = [&] {
    const GilRelease release;  // the copying
    return engine::TakeSnapshot(tensors.views(), arena.bytes(), options);
  }();
  if (!report.ok()) tensors.RaiseFailure();
  const engine::SnapshotReport done = ValueOrThrow(std::move(report));
  tensors.ReleaseCopied();
  return py::make_tuple(done.copied_bytes, done.borrowed_bytes, done.seconds);
}

}  // namespace

void RegisterSnapshot(py::module_& module) {
  py::class_<Latch, std::shared_ptr<Latch>>(module, "Latch")
      .def(py::init<>())
      .def("open", &Latch::Open)
      .def("wait", &Latch::WaitFor, py::arg("seconds"), py::call_guard<GilRelease>());
  py::class_<SnapshotArena>(module, "SnapshotArena")
      .def(py::init<uint64_t>(), py::arg("size"))
      .def_property_readonly("size", &SnapshotArena::size)
      .def_property_readonly("address", [](const SnapshotArena& arena) {
        return reinterpret_cast<uintptr_t>(arena.bytes().data());
      });
  module.def("take_snapshot", &TakeSnapshot, py::arg("tensors"), py::arg("arena"),
             py::arg("num_threads"));
  module.def(
      "snapshot_size",
      [](const SavedTensors& tensors) { return engine::SnapshotSize(tensors.views()); },
      py::arg("tensors"));
}

}  // namespace tensorbundle::bindings
