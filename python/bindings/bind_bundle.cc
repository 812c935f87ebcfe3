#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arena.h"
#include "bindings/arrays.h"
#include "bindings/bundle_calls.h"
#include "bindings/differences.h"
#include "bindings/entries.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/listings.h"
#include "bindings/mapping.h"
#include "bindings/names.h"
#include "bindings/observer.h"
#include "bindings/read_arguments.h"
#include "bindings/register.h"
#include "bindings/tensor_objects.h"
#include "engine/assembly.h"
#include "engine/box_reader.h"
#include "engine/bundle.h"
#include "engine/mapper.h"
#include "engine/reader.h"
#include "io/aligned_buffer.h"
#include "io/storage.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

using format::Entry;

class PyBundle {
 public:
  // `storage` in place of the file system; usually null.
  PyBundle(const std::string& prefix, const std::string& backend,
           std::shared_ptr<io::Storage> storage)
      : calls_(prefix, backend, std::move(storage)) {}

  uint32_t num_shards() const { return bundle_.header().num_shards; }

  py::dict Diff(const PyBundle& other) const { return DiffToPython(bundle_, other.bundle_); }

  std::string ShardPath(uint32_t shard) const { return bundle_.ShardPath(shard); }

  py::list Names() const { return ListNames(bundle_); }

  py::list Shapes() const { return ListShapes(bundle_); }

  py::list DTypes() const { return ListDTypes(bundle_); }

  py::list Entries() const { return ListEntries(bundle_); }

  py::tuple Find(py::handle name) const {
    return EntryToPython(ValueOrThrow(bundle_.Find(NameFromPython(name))));
  }

  bool Contains(py::handle name) const {
    const Result<Entry> entry = bundle_.Find(NameFromPython(name));
    return entry.ok() || entry.status().code() != Code::kNotFound;
  }

  // One array per name, or for strings and variants a list of bytes: views of the mapped
  // files, or what was read into memory of its own where `how` says so or where a tensor's
  // address does not suit its dtype.  One pass reads those and verifies all. Returns (arrays,
  // report).
  py::tuple Map(const py::list& names, const py::dict& dtypes, const MapArguments& how,
                const ReadArguments& arguments) const {
    const std::vector<engine::ReadRequest> requests = calls_.MakeRequests(names);
    engine::MappedTensors mapped = calls_.Map(requests, how);
    DropLists(requests, mapped.views);
    const py::list copied = DropUnsuitable(names, requests, dtypes, mapped.views);
    std::vector<engine::ReadRequest> own = Absent(requests, mapped.views);
    const engine::Assembly assembly = calls_.Assemble(own);
    calls_.Check(assembly.Requests(own));
    const auto arena = AllocateArena(own);
    std::vector<engine::ReadRequest> to_read = assembly.Requests(own);
    const size_t num_own = to_read.size();
    if (arguments.verify) AddToVerify(requests, mapped.views, to_read);
    const engine::ReadReport read = calls_.ReadBesideMaps(to_read, num_own, arguments);
    const size_t num_threads =
        PrefetchAll(requests, mapped.views, how.advice, arguments, to_read.empty());

    MapOwners owners(MakeOwner(arena));
    py::list arrays;
    uint64_t total_bytes = 0;
    uint64_t mapped_bytes = 0;
    for (size_t i = 0, next = 0; i < requests.size(); ++i) {
      const bool is_mapped = mapped.views[i].has_value();
      const size_t at = is_mapped ? next : next++;
      const engine::ReadRequest& request = is_mapped ? requests[i] : own[at];
      const Bytes bytes = is_mapped ? mapped.views[i]->bytes : Bytes(request.out);
      total_bytes += request.entry.size;
      if (IsList(request.entry)) {
        arrays.append(objects_.Elements(own, assembly, at, arguments.verify));
        continue;
      }
      if (is_mapped) mapped_bytes += request.entry.size;
      arrays.append(
          objects_.Array(request, bytes, dtypes, owners.Of(mapped.views[i]), how.writable));
    }
    py::dict report = ReportToPython(read);
    report["read_bytes"] = read.bytes;
    report["bytes"] = total_bytes;
    report["mapped_bytes"] = mapped_bytes;
    report["copied"] = py::tuple(copied);
    report["mmap_reason"] = mapped.reason;
    report["num_threads"] = std::max(read.num_threads, num_threads);
    return py::make_tuple(arrays, report);
  }

  // Arrays of their own, or filled `into`: a list with an array or None per name.
  // Returns (arrays, report); strings and variants are a list of bytes.
  py::tuple Load(const py::list& names, const py::list& into, const py::dict& dtypes,
                 const ReadArguments& arguments) const {
    std::vector<engine::ReadRequest> requests = calls_.MakeRequests(names);
    const engine::Assembly assembly = calls_.Assemble(requests);
    calls_.Check(assembly.Requests(requests));
    for (size_t i = 0; i < requests.size(); ++i) {
      if (into[i].is_none()) continue;
      auto target = py::reinterpret_borrow<py::array>(into[i]);
      requests[i].out = {static_cast<std::byte*>(target.mutable_data()),
                         static_cast<size_t>(target.nbytes())};
      requests[i].fresh = arguments.fresh;
      if (arguments.fresh) io::AdviseHugePages(requests[i].out);
    }
    const auto arena = AllocateArena(requests);
    const engine::ReadReport report = calls_.Read(assembly.Requests(requests), arguments);
    const py::capsule owner = MakeOwner(arena);
    py::list arrays;
    for (size_t i = 0; i < requests.size(); ++i) {
      const engine::ReadRequest& request = requests[i];
      if (IsList(request.entry)) {
        arrays.append(objects_.Elements(requests, assembly, i, arguments.verify));
      } else if (!into[i].is_none()) {
        arrays.append(into[i]);
      } else {
        arrays.append(objects_.Array(request, request.out, dtypes, owner, true));
      }
    }
    return py::make_tuple(arrays, ReportToPython(report));
  }

  // A box of a tensor as an array of its own, of strings and variants as a list of bytes.
  // `shape` is the array's: the box's, where dimensions of size 1 may be left out.
  py::object ReadBox(py::handle name, format::Shape begin, format::Shape size,
                     const format::Shape& shape, const py::dict& dtypes,
                     const ReadArguments& arguments) const {
    const std::string text = NameFromPython(name);
    auto make = [&]() -> Result<engine::BoxReader> {
      const GilRelease release;  // reads the index, opens every shard
      format::TableLookup lookup = bundle_.MakeLookup();
      TB_ASSIGN_OR_RETURN(Entry entry, engine::FindToRead(bundle_, text, lookup));
      return engine::BoxReader::Make(bundle_, text, std::move(entry),
                                     {std::move(begin), std::move(size)});
    };
    const engine::BoxReader reader = ValueOrThrow(make());
    PythonObserver observer(arguments.progress);
    const engine::ReadOptions options = OptionsOf(arguments, calls_.mode(), observer);
    const auto read = [&](MutableBytes out) {
      const Status status = [&] {
        const GilRelease release;  // all I/O, checksums and copies
        return reader.Read(out, options);
      }();
      ThrowIfError(status);
    };
    if (!format::HasElementSize(reader.dtype())) {
      const auto memory = ValueOrThrow(io::AlignedBuffer::Allocate(reader.size()));
      read(memory.bytes());
      return objects_.ElementsOfParts(text, reader.parts(), reader.wanted(), memory.bytes(),
                                      arguments.verify);
    }
    ThrowIfError(CheckRank(shape).WithKey(text).WithPath(bundle_.index_path()));
    py::array array = NewArray(DTypeOf(reader.dtype(), dtypes), shape);
    read({static_cast<std::byte*>(array.mutable_data()), static_cast<size_t>(array.nbytes())});
    return array;
  }

  // (report, [(name, exception, place)]): the faults, in the order of the names, those of
  // one tensor's parts one by one; a place is (shard, begin, end), None where there is none.
  py::tuple Verify(const py::list& names, const ReadArguments& arguments) const {
    std::vector<engine::ReadRequest> requests;
    py::list out;
    for (const py::handle name : names) {
      auto own = calls_.RequestsToVerify(NameFromPython(name));
      if (own.ok()) {
        std::move(own->begin(), own->end(), std::back_inserter(requests));
      } else {
        out.append(py::make_tuple(name, MakeException(own.status()), py::none()));
      }
    }
    std::vector<engine::Fault> faults;
    const engine::ReadReport report = calls_.Verify(requests, arguments, faults);
    for (const engine::Fault& fault : faults) {
      const Entry& entry = requests[fault.request].entry;
      out.append(py::make_tuple(
          NameToPython(requests[fault.request].name), MakeException(fault.status),
          py::make_tuple(entry.shard_id, entry.offset, entry.offset + entry.size)));
    }
    return py::make_tuple(ReportToPython(report), out);
  }

 private:
  // Returns the number of threads.
  static size_t PrefetchAll(const std::vector<engine::ReadRequest>& requests,
                            const engine::Views& views, io::MapAdvice advice,
                            const ReadArguments& arguments, bool tells_progress) {
    // Progress goes up once: of what was read, if anything was.
    PythonObserver observer(tells_progress ? arguments.progress : py::none());
    auto num_threads = [&] {
      const GilRelease release;  // may read all of the files
      return engine::Prefetch(requests, views, {advice, arguments.num_threads, &observer});
    }();
    return ValueOrThrow(std::move(num_threads));
  }

  const BundleCalls calls_;
  const engine::Bundle& bundle_ = calls_.bundle();
  const TensorObjects objects_ = TensorObjects(bundle_);
};

}  // namespace

void RegisterBundle(py::module_& module) {
  py::class_<ReadArguments>(module, "ReadOptions")
      .def(py::init([](bool verify, size_t num_threads, uint64_t block_size,
                       uint32_t queue_depth, py::object progress, bool fresh) {
             return ReadArguments{verify,      num_threads,         block_size,
                                  queue_depth, std::move(progress), fresh};
           }),
           py::kw_only(), py::arg("verify"), py::arg("num_threads"), py::arg("block_size"),
           py::arg("queue_depth"), py::arg("progress"), py::arg("fresh") = false)
      .def("again", [](ReadArguments arguments) {
        arguments.again = true;
        return arguments;
      });
  py::class_<MapArguments>(module, "MapOptions")
      .def(py::init(&MapArgumentsFromNames), py::kw_only(), py::arg("policy"),
           py::arg("prefetch"), py::arg("writable"));
  py::class_<PyBundle>(module, "Bundle")
      .def(py::init<const std::string&, const std::string&, std::shared_ptr<io::Storage>>(),
           py::arg("prefix"), py::arg("backend"), py::arg("storage") = nullptr)
      .def_property_readonly("num_shards", &PyBundle::num_shards)
      .def("shard_path", &PyBundle::ShardPath, py::arg("shard"))
      .def("diff", &PyBundle::Diff, py::arg("other"))
      .def("names", &PyBundle::Names)
      .def("shapes", &PyBundle::Shapes)
      .def("dtypes", &PyBundle::DTypes)
      .def("entries", &PyBundle::Entries)
      .def("find", &PyBundle::Find, py::arg("name"))
      .def("contains", &PyBundle::Contains, py::arg("name"))
      .def("map", &PyBundle::Map, py::arg("names"), py::kw_only(), py::arg("dtypes"),
           py::arg("how"), py::arg("options"))
      .def("load", &PyBundle::Load, py::arg("names"), py::kw_only(), py::arg("into"),
           py::arg("dtypes"), py::arg("options"))
      .def("read_box", &PyBundle::ReadBox, py::arg("name"), py::arg("begin"), py::arg("size"),
           py::arg("shape"), py::kw_only(), py::arg("dtypes"), py::arg("options"))
      .def("verify", &PyBundle::Verify, py::arg("names"), py::kw_only(), py::arg("options"));
}

}  // namespace tensorbundle::bindings
