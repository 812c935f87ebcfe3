#include <memory>

#include "bindings/register.h"
#include "io/memory_storage.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// Sixteen huge pages: a save of gigabytes takes the file's lock now and then.
constexpr uint64_t kChunkSize = uint64_t{32} << 20;  // bytes

}  // namespace

// Passed to save() and Bundle() in place of the file system; its files go with it.
void RegisterMemory(py::module_& module) {
  py::class_<io::Storage, std::shared_ptr<io::Storage>>(module, "MemoryStorage")
      .def(py::init(
          [] { return std::shared_ptr<io::Storage>(io::MakeMemoryStorage(kChunkSize)); }));
}

}  // namespace tensorbundle::bindings
