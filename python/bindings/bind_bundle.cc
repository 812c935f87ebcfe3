#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arena.h"
#include "bindings/arrays.h"
#include "bindings/backends.h"
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
#include "engine/assembly.h"
#include "engine/box_reader.h"
#include "engine/bundle.h"
#include "engine/mapper.h"
#include "engine/reader.h"
#include "io/aligned_buffer.h"
#include "io/backend.h"
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
      : mode_(ModeOf(BackendFromName(backend))) {
    auto bundle = [&] {
      const GilRelease release;  // opens and reads files
      const io::Backend direct = BackendFromName(backend).value_or(io::Backend::kUring);
      if (storage == nullptr) storage = io::MakeStorage(direct);
      return engine::Bundle::Open(std::move(storage), prefix);
    }();
    bundle_ = ValueOrThrow(std::move(bundle));
  }

  uint32_t num_shards() const { return bundle_->header().num_shards; }

  py::dict Diff(const PyBundle& other) const { return DiffToPython(*bundle_, *other.bundle_); }

  std::string ShardPath(uint32_t shard) const { return bundle_->ShardPath(shard); }

  py::list Names() const { return ListNames(*bundle_); }

  py::list Shapes() const { return ListShapes(*bundle_); }

  py::list DTypes() const { return ListDTypes(*bundle_); }

  // [(name, entry tuple or exception)]
  py::list Entries() const {
    py::list entries;
    for (const auto& [name, entry] : AllEntries()) {
      entries.append(py::make_tuple(NameToPython(name), entry.ok()
                                                            ? py::object(EntryToPython(*entry))
                                                            : MakeException(entry.status())));
    }
    return entries;
  }

  py::tuple Find(py::handle name) const {
    return EntryToPython(ValueOrThrow(bundle_->Find(NameFromPython(name))));
  }

  bool Contains(py::handle name) const {
    const Result<Entry> entry = bundle_->Find(NameFromPython(name));
    return entry.ok() || entry.status().code() != Code::kNotFound;
  }

  // One array per name, or for strings and variants a list of bytes: views of the mapped
  // files, or what was read into memory of its own where `how` says so or where a tensor's
  // address does not suit its dtype.  One pass reads those and verifies all. Returns (arrays,
  // report).
  py::tuple Map(const py::list& names, const py::dict& dtypes, const MapArguments& how,
                const ReadArguments& arguments) const {
    const std::vector<engine::ReadRequest> requests = MakeRequests(names);
    engine::MappedTensors mapped = MapAll(requests, how);
    DropLists(requests, mapped.views);
    const py::list copied = DropUnsuitable(names, requests, dtypes, mapped.views);
    std::vector<engine::ReadRequest> own = Absent(requests, mapped.views);
    const engine::Assembly assembly = Assemble(own);
    Check(assembly.Requests(own));
    const auto arena = AllocateArena(own);
    std::vector<engine::ReadRequest> to_read = assembly.Requests(own);
    const size_t num_own = to_read.size();
    if (arguments.verify) AddToVerify(requests, mapped.views, to_read);
    const engine::ReadReport read = ReadBesideMaps(to_read, num_own, arguments);
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
        arrays.append(Elements(own, assembly, at, arguments.verify));
        continue;
      }
      if (is_mapped) mapped_bytes += request.entry.size;
      arrays.append(Array(request, bytes, dtypes, owners.Of(mapped.views[i]), how.writable));
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
    std::vector<engine::ReadRequest> requests = MakeRequests(names);
    const engine::Assembly assembly = Assemble(requests);
    Check(assembly.Requests(requests));
    for (size_t i = 0; i < requests.size(); ++i) {
      if (into[i].is_none()) continue;
      auto target = py::reinterpret_borrow<py::array>(into[i]);
      requests[i].out = {static_cast<std::byte*>(target.mutable_data()),
                         static_cast<size_t>(target.nbytes())};
      requests[i].fresh = arguments.fresh;
      if (arguments.fresh) io::AdviseHugePages(requests[i].out);
    }
    const auto arena = AllocateArena(requests);
    const engine::ReadReport report = Read(assembly.Requests(requests), arguments, mode_);
    const py::capsule owner = MakeOwner(arena);
    py::list arrays;
    for (size_t i = 0; i < requests.size(); ++i) {
      const engine::ReadRequest& request = requests[i];
      if (IsList(request.entry)) {
        arrays.append(Elements(requests, assembly, i, arguments.verify));
      } else if (!into[i].is_none()) {
        arrays.append(into[i]);
      } else {
        arrays.append(Array(request, request.out, dtypes, owner, true));
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
      format::TableLookup lookup = bundle_->MakeLookup();
      TB_ASSIGN_OR_RETURN(Entry entry, engine::FindToRead(*bundle_, text, lookup));
      return engine::BoxReader::Make(*bundle_, text, std::move(entry),
                                     {std::move(begin), std::move(size)});
    };
    const engine::BoxReader reader = ValueOrThrow(make());
    PythonObserver observer(arguments.progress);
    const engine::ReadOptions options = OptionsOf(arguments, mode_, observer);
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
      return PartsToList(text, reader.parts(), reader.wanted(), memory.bytes(),
                         arguments.verify);
    }
    ThrowIfError(CheckRank(shape).WithKey(text).WithPath(bundle_->index_path()));
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
      auto own = RequestsToVerify(NameFromPython(name));
      if (own.ok()) {
        std::move(own->begin(), own->end(), std::back_inserter(requests));
      } else {
        out.append(py::make_tuple(name, MakeException(own.status()), py::none()));
      }
    }
    std::vector<engine::Fault> faults;
    PythonObserver observer(arguments.progress);
    auto report = [&] {
      const GilRelease release;  // reads and checksums everything
      return engine::VerifyTensors(*bundle_, requests, OptionsOf(arguments, mode_, observer),
                                   faults);
    }();
    const engine::ReadReport result = ValueOrThrow(std::move(report));
    for (const engine::Fault& fault : faults) {
      const Entry& entry = requests[fault.request].entry;
      out.append(py::make_tuple(
          NameToPython(requests[fault.request].name), MakeException(fault.status),
          py::make_tuple(entry.shard_id, entry.offset, entry.offset + entry.size)));
    }
    return py::make_tuple(ReportToPython(result), out);
  }

 private:
  using NamedEntry = std::pair<std::string, Result<Entry>>;

  // Names the place of what could not be made of a tensor's bytes.
  Status Placed(const engine::ReadRequest& request, Status status) const {
    if (!request.entry.slices.empty()) {
      return std::move(status).WithKey(request.name).WithPath(bundle_->index_path());
    }
    if (!request.part.empty()) status = std::move(status).Within(request.part);
    return std::move(status)
        .WithKey(request.name)
        .WithShard(request.entry.shard_id)
        .WithOffset(request.entry.offset)
        .WithPath(bundle_->ShardPath(request.entry.shard_id));
  }

  py::list Elements(const engine::ReadRequest& request, Bytes stored, bool verify) const {
    ThrowIfError(Placed(request, CheckRank(request.entry.shape)));
    auto elements = ElementsToPython(request, stored, bundle_->byte_order(), verify);
    if (!elements.ok()) ThrowIfError(Placed(request, std::move(elements).status()));
    return std::move(elements).value();
  }

  py::array Array(const engine::ReadRequest& request, Bytes bytes, const py::dict& dtypes,
                  const py::object& owner, bool writable) const {
    ThrowIfError(Placed(request, CheckRank(request.entry.shape)));
    return MakeArray(DTypeOf(request.entry.dtype, dtypes), request.entry.shape, bytes, owner,
                     writable);
  }

  std::vector<NamedEntry> AllEntries() const {
    std::vector<NamedEntry> entries;
    const Status status = [&] {
      const GilRelease release;  // reads the whole index
      return bundle_->ForEach([&](std::string_view name, Result<Entry> entry) {
        entries.emplace_back(name, std::move(entry));
        return Status();
      });
    }();
    ThrowIfError(status);
    return entries;
  }

  std::vector<engine::ReadRequest> MakeRequests(const py::list& names) const {
    std::vector<engine::ReadRequest> requests(names.size());
    for (size_t i = 0; i < requests.size(); ++i) requests[i].name = NameFromPython(names[i]);
    const Status status = [&]() -> Status {
      const GilRelease release;  // reads the index
      format::TableLookup lookup = bundle_->MakeLookup();
      for (engine::ReadRequest& request : requests) {
        TB_ASSIGN_OR_RETURN(request.entry, engine::FindToRead(*bundle_, request.name, lookup));
      }
      return Status();
    }();
    ThrowIfError(status);
    return requests;
  }

  // Finds the parts of those that are partitioned, and sets what memory they take.
  engine::Assembly Assemble(std::vector<engine::ReadRequest>& tensors) const {
    auto assembly = [&] {
      const GilRelease release;  // reads the index
      return engine::Assembly::Make(*bundle_, tensors);
    }();
    return ValueOrThrow(std::move(assembly));
  }

  Result<std::vector<engine::ReadRequest>> RequestsToVerify(std::string name) const {
    engine::ReadRequest tensor;
    tensor.name = std::move(name);
    TB_ASSIGN_OR_RETURN(tensor.entry, bundle_->Find(tensor.name));
    TB_ASSIGN_OR_RETURN(const auto assembly, engine::Assembly::Make(*bundle_, {&tensor, 1}));
    return assembly.Requests({&tensor, 1});
  }

  py::list Elements(const std::vector<engine::ReadRequest>& tensors,
                    const engine::Assembly& assembly, size_t index, bool verify) const {
    const engine::ReadRequest& tensor = tensors[index];
    if (tensor.entry.slices.empty()) return Elements(tensor, tensor.out, verify);
    return PartsToList(tensor.name, assembly.PartsOf(index),
                       engine::WholeBox(tensor.entry.shape), tensor.out, verify);
  }

  // Of strings and variants: `stored` has the parts, one behind the other, which cover
  // `wanted`.
  py::list PartsToList(const std::string& name, std::span<const engine::StoredPart> parts,
                       const engine::Box& wanted, Bytes stored, bool verify) const {
    py::list out(engine::Volume(wanted));
    for (const engine::StoredPart& part : parts) {
      const engine::ReadRequest request = engine::RequestOf(name, part);
      const py::list elements = Elements(request, stored.first(part.entry.size), verify);
      PlaceElements(elements, part.place, wanted, out);
      stored = stored.subspan(part.entry.size);
    }
    return out;
  }

  engine::MappedTensors MapAll(const std::vector<engine::ReadRequest>& requests,
                               const MapArguments& how) const {
    const auto access = how.writable ? io::MapAccess::kPrivate : io::MapAccess::kReadOnly;
    auto mapped = [&] {
      const GilRelease release;  // opens and maps files
      return engine::MapTensors(*bundle_, requests, how.policy, access);
    }();
    return ValueOrThrow(std::move(mapped));
  }

  // A map that is verified through the page cache is in it when it is touched; past it,
  // the disk would be read twice.
  engine::ReadReport ReadBesideMaps(const std::vector<engine::ReadRequest>& requests,
                                    size_t num_own, const ReadArguments& arguments) const {
    if (requests.empty()) return {};
    const bool verifies_maps = requests.size() > num_own;
    const bool cached = verifies_maps && mode_ == engine::ReadMode::kAuto;
    return Read(requests, arguments, cached ? engine::ReadMode::kBuffered : mode_);
  }

  // Returns the number of threads.
  size_t PrefetchAll(const std::vector<engine::ReadRequest>& requests,
                     const engine::Views& views, io::MapAdvice advice,
                     const ReadArguments& arguments, bool tells_progress) const {
    // Progress goes up once: of what was read, if anything was.
    PythonObserver observer(tells_progress ? arguments.progress : py::none());
    auto num_threads = [&] {
      const GilRelease release;  // may read all of the files
      return engine::Prefetch(requests, views, {advice, arguments.num_threads, &observer});
    }();
    return ValueOrThrow(std::move(num_threads));
  }

  void Check(const std::vector<engine::ReadRequest>& requests) const {
    const Status status = [&] {
      const GilRelease release;  // opens every shard
      return engine::CheckRequests(*bundle_, requests);
    }();
    ThrowIfError(status);
  }

  engine::ReadReport Read(const std::vector<engine::ReadRequest>& requests,
                          const ReadArguments& arguments, engine::ReadMode mode) const {
    PythonObserver observer(arguments.progress);
    const engine::ReadOptions options = OptionsOf(arguments, mode, observer);
    auto report = [&] {
      const GilRelease release;  // all I/O, checksums and copies
      return engine::ReadTensors(*bundle_, requests, options);
    }();
    return ValueOrThrow(std::move(report));
  }

  static engine::ReadMode ModeOf(std::optional<io::Backend> backend) {
    if (!backend.has_value()) return engine::ReadMode::kAuto;
    return *backend == io::Backend::kBuffered ? engine::ReadMode::kBuffered
                                              : engine::ReadMode::kDirect;
  }

  const engine::ReadMode mode_;
  std::unique_ptr<engine::Bundle> bundle_;
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
