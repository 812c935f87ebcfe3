#include <pybind11/numpy.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arena.h"
#include "bindings/arrays.h"
#include "bindings/entries.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/listings.h"
#include "bindings/mapping.h"
#include "bindings/names.h"
#include "bindings/read_arguments.h"
#include "bindings/register.h"
#include "engine/v1_checkpoint.h"
#include "engine/v1_reader.h"
#include "io/backend.h"
#include "io/storage.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

using engine::ReadRequest;
using engine::V1Checkpoint;

constexpr char kWhyNotMapped[] =
    "a V1 checkpoint does not store numbers as they are in memory";

// A V1 checkpoint with the methods of the bundle (bind_bundle.cc).
class PyV1Checkpoint {
 public:
  explicit PyV1Checkpoint(const py::list& paths_list) {
    std::vector<std::string> paths;
    for (const py::handle path : paths_list) paths.push_back(NameFromPython(path));
    auto opened = [&] {
      const GilRelease release;  // opens and reads files
      return V1Checkpoint::Open(*io::MakeStorage(io::Backend::kBuffered), paths);
    }();
    checkpoint_ = ValueOrThrow(std::move(opened));
  }

  size_t num_shards() const { return checkpoint_->paths().size(); }

  std::string ShardPath(uint32_t file) const { return checkpoint_->paths().at(file); }

  py::list Names() const { return ListNames(*checkpoint_); }

  py::list Shapes() const { return ListShapes(*checkpoint_); }

  py::list DTypes() const { return ListDTypes(*checkpoint_); }

  py::list Entries() const { return ListEntries(*checkpoint_); }

  py::tuple Find(py::handle name) const {
    return EntryToPython(ValueOrThrow(checkpoint_->Find(NameFromPython(name))));
  }

  bool Contains(py::handle name) const {
    const auto tensor = checkpoint_->Find(NameFromPython(name));
    return tensor.ok() || tensor.status().code() != Code::kNotFound;
  }

  py::tuple Map(const py::list& names, const py::dict& dtypes, const MapArguments& how,
                const ReadArguments& arguments) const {
    py::list nothing;
    for (size_t i = 0; i < names.size(); ++i) nothing.append(py::none());
    auto [arrays, report] = Read(names, nothing, dtypes, how.writable, arguments);
    report["read_bytes"] = report["bytes"];
    report["mapped_bytes"] = 0;
    report["copied"] = py::tuple();
    report["mmap_reason"] = kWhyNotMapped;
    return py::make_tuple(arrays, report);
  }

  py::tuple Load(const py::list& names, const py::list& into, const py::dict& dtypes,
                 const ReadArguments& arguments) const {
    auto [arrays, report] = Read(names, into, dtypes, true, arguments);
    return py::make_tuple(arrays, report);
  }

  py::tuple Verify(const py::list& names, const ReadArguments& arguments) const {
    std::vector<ReadRequest> requests;
    py::list out;
    for (const py::handle name : names) {
      auto request = engine::MakeV1Request(*checkpoint_, NameFromPython(name));
      if (request.ok()) {
        requests.push_back(std::move(request).value());
      } else {
        out.append(py::make_tuple(name, MakeException(request.status()), py::none()));
      }
    }
    std::vector<engine::Fault> faults;
    PythonObserver observer(arguments.progress);
    auto report = [&] {
      const GilRelease release;  // reads and decodes everything
      return engine::VerifyV1Tensors(
          *checkpoint_, requests, OptionsOf(arguments, engine::ReadMode::kBuffered, observer),
          faults);
    }();
    const engine::ReadReport result = ValueOrThrow(std::move(report));
    for (const engine::Fault& fault : faults) {
      out.append(py::make_tuple(NameToPython(requests[fault.request].name),
                                MakeException(fault.status), py::none()));
    }
    return py::make_tuple(ReportToPython(result), out);
  }

 private:
  std::vector<ReadRequest> MakeRequests(const py::list& names) const {
    std::vector<ReadRequest> requests;
    for (const py::handle name : names) {
      requests.push_back(
          ValueOrThrow(engine::MakeV1Request(*checkpoint_, NameFromPython(name))));
    }
    return requests;
  }

  // Whatever is wrong is found before memory is taken.
  std::vector<engine::V1Pieces> Locate(const std::vector<ReadRequest>& requests) const {
    auto located = [&] {
      const GilRelease release;  // reads and checks blocks
      return engine::LocateAll(*checkpoint_, requests);
    }();
    return ValueOrThrow(std::move(located));
  }

  std::pair<py::list, py::dict> Read(const py::list& names, const py::list& into,
                                     const py::dict& dtypes, bool writable,
                                     const ReadArguments& arguments) const {
    std::vector<ReadRequest> requests = MakeRequests(names);
    const std::vector<engine::V1Pieces> pieces = Locate(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      if (into[i].is_none()) continue;
      auto target = py::reinterpret_borrow<py::array>(into[i]);
      requests[i].out = {static_cast<std::byte*>(target.mutable_data()),
                         static_cast<size_t>(target.nbytes())};
    }
    const auto arena = AllocateArena(requests);
    PythonObserver observer(arguments.progress);
    auto report = [&] {
      const GilRelease release;  // decodes everything
      return engine::ReadV1Tensors(
          *checkpoint_, requests, pieces,
          OptionsOf(arguments, engine::ReadMode::kBuffered, observer));
    }();
    const py::dict told = ReportToPython(ValueOrThrow(std::move(report)));
    const py::capsule owner = MakeOwner(arena);
    py::list arrays;
    for (size_t i = 0; i < requests.size(); ++i) {
      const ReadRequest& request = requests[i];
      if (IsList(request.entry)) {
        arrays.append(BytesToPython(engine::V1Strings(request.entry.shape, pieces[i])));
      } else if (!into[i].is_none()) {
        arrays.append(into[i]);
      } else {
        arrays.append(MakeArray(DTypeOf(request.entry.dtype, dtypes), request.entry.shape,
                                request.out, owner, writable));
      }
    }
    return {arrays, told};
  }

  std::unique_ptr<V1Checkpoint> checkpoint_;
};

}  // namespace

void RegisterV1(py::module_& module) {
  py::class_<PyV1Checkpoint>(module, "V1Checkpoint")
      .def(py::init<const py::list&>(), py::arg("paths"))
      .def_property_readonly("num_shards", &PyV1Checkpoint::num_shards)
      .def("shard_path", &PyV1Checkpoint::ShardPath, py::arg("shard"))
      .def("names", &PyV1Checkpoint::Names)
      .def("shapes", &PyV1Checkpoint::Shapes)
      .def("dtypes", &PyV1Checkpoint::DTypes)
      .def("entries", &PyV1Checkpoint::Entries)
      .def("find", &PyV1Checkpoint::Find, py::arg("name"))
      .def("contains", &PyV1Checkpoint::Contains, py::arg("name"))
      .def("map", &PyV1Checkpoint::Map, py::arg("names"), py::kw_only(), py::arg("dtypes"),
           py::arg("how"), py::arg("options"))
      .def("load", &PyV1Checkpoint::Load, py::arg("names"), py::kw_only(), py::arg("into"),
           py::arg("dtypes"), py::arg("options"))
      .def("verify", &PyV1Checkpoint::Verify, py::arg("names"), py::kw_only(),
           py::arg("options"));
}

}  // namespace tensorbundle::bindings
