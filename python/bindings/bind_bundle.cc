#include <pybind11/numpy.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/arithmetic.h"
#include "bindings/arrays.h"
#include "bindings/errors.h"
#include "bindings/names.h"
#include "bindings/observer.h"
#include "bindings/register.h"
#include "engine/bundle.h"
#include "engine/reader.h"
#include "format/string_tensor.h"
#include "io/aligned_buffer.h"
#include "io/posix_storage.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

// What TF, JAX and SIMD loads need of an array's address.
constexpr uint64_t kArrayAlignment = 64;  // bytes

using format::Entry;

bool IsString(const Entry& entry) { return entry.dtype == format::DType::kString; }

py::tuple ShapeToPython(const format::Shape& shape) {
  py::tuple out(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) out[i] = py::int_(shape[i]);
  return out;
}

py::list SlicesToPython(const std::vector<format::Slice>& slices) {
  py::list out;
  for (const format::Slice& slice : slices) {
    py::list extents;
    for (const format::Extent& extent : slice) {
      extents.append(py::make_tuple(extent.start, extent.length));
    }
    out.append(py::tuple(extents));
  }
  return out;
}

// (DataType number, shape, shard, offset, size, CRC-32C, slices)
py::tuple EntryToPython(const Entry& entry) {
  return py::make_tuple(static_cast<int>(entry.dtype), ShapeToPython(entry.shape),
                        entry.shard_id, entry.offset, entry.size,
                        checksum::Unmask(entry.crc32c).value(), SlicesToPython(entry.slices));
}

// The elements of a string tensor as a list of bytes, in C order.
py::list StringsToPython(const engine::ReadRequest& request, Bytes stored, bool verify) {
  auto decode = [&]() -> Result<std::vector<Bytes>> {
    TB_ASSIGN_OR_RETURN(const uint64_t count, format::NumElements(request.entry.shape, 1));
    return format::DecodeStrings(stored, count, request.entry.crc32c, verify);
  };
  auto elements = decode();
  if (!elements.ok()) {
    ThrowIfError(std::move(elements)
                     .status()
                     .WithKey(request.name)
                     .WithShard(request.entry.shard_id)
                     .WithOffset(request.entry.offset));
  }
  py::list out(elements->size());
  for (size_t i = 0; i < elements->size(); ++i) {
    const std::string_view text = AsText((*elements)[i]);
    out[i] = py::bytes(text.data(), text.size());
  }
  return out;
}

class PyBundle {
 public:
  explicit PyBundle(const std::string& prefix) {
    auto bundle = [&] {
      const py::gil_scoped_release release;  // opens and reads files
      return engine::Bundle::Open(io::MakePosixStorage(), prefix);
    }();
    bundle_ = ValueOrThrow(std::move(bundle));
  }

  uint32_t num_shards() const { return bundle_->header().num_shards; }

  std::string ShardPath(uint32_t shard) const { return bundle_->ShardPath(shard); }

  py::list Names() const {
    py::list names;
    ThrowIfError(bundle_->ForEach([&](std::string_view name, const Result<Entry>&) {
      names.append(NameToPython(name));
      return Status();
    }));
    return names;
  }

  // [(name, entry tuple or exception)]
  py::list Entries() const {
    py::list entries;
    ThrowIfError(bundle_->ForEach([&](std::string_view name, const Result<Entry>& entry) {
      entries.append(py::make_tuple(NameToPython(name), entry.ok()
                                                            ? py::object(EntryToPython(*entry))
                                                            : MakeException(entry.status())));
      return Status();
    }));
    return entries;
  }

  py::tuple Find(py::handle name) const {
    return EntryToPython(ValueOrThrow(bundle_->Find(NameFromPython(name))));
  }

  bool Contains(py::handle name) const {
    const Result<Entry> entry = bundle_->Find(NameFromPython(name));
    return entry.ok() || entry.status().code() != Code::kNotFound;
  }

  // Views of the mapped files, one per name: an array, or for strings a list of bytes.
  // A tensor whose address does not suit its dtype is read into memory of its own
  // instead.  Returns (arrays, names of those, bytes of all, bytes mapped).
  py::tuple Map(const py::list& names, const py::dict& dtypes, bool writable, bool verify,
                size_t num_threads, const py::object& progress) const {
    const std::vector<engine::ReadRequest> requests = MakeRequests(names);
    Check(requests);
    if (verify) static_cast<void>(Read(requests, true, num_threads, progress));
    const auto access = writable ? io::MapAccess::kPrivate : io::MapAccess::kReadOnly;
    py::list arrays;
    py::list misaligned;
    std::vector<size_t> misaligned_at;
    py::dict owners;  // one capsule per mapped file, shared by its arrays
    uint64_t total_bytes = 0;
    uint64_t mapped_bytes = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      const Entry& entry = requests[i].entry;
      const engine::Bundle::View view = ValueOrThrow(bundle_->Map(entry, access));
      total_bytes += entry.size;
      if (IsString(entry)) {
        arrays.append(StringsToPython(requests[i], view.bytes, verify));
      } else if (!IsAligned(view.bytes, DTypeOf(entry, dtypes))) {
        arrays.append(py::none());
        misaligned.append(names[i]);
        misaligned_at.push_back(i);
      } else {
        mapped_bytes += entry.size;
        const py::int_ shard(entry.shard_id);
        if (!owners.contains(shard)) owners[shard] = MakeOwner(view.file);
        arrays.append(MakeArray(DTypeOf(entry, dtypes), entry.shape, view.bytes, owners[shard],
                                writable));
      }
    }
    if (!misaligned_at.empty()) {
      py::list nowhere;
      for (size_t i = 0; i < misaligned_at.size(); ++i) nowhere.append(py::none());
      const py::list copies =
          Load(misaligned, nowhere, dtypes, false, num_threads, progress)[0];
      for (size_t i = 0; i < misaligned_at.size(); ++i) arrays[misaligned_at[i]] = copies[i];
    }
    return py::make_tuple(arrays, misaligned, total_bytes, mapped_bytes);
  }

  // Arrays of their own, or filled `into`: a list with an array or None per name.
  // Returns (arrays, report); a string tensor is a list of bytes.
  py::tuple Load(const py::list& names, const py::list& into, const py::dict& dtypes,
                 bool verify, size_t num_threads, const py::object& progress) const {
    std::vector<engine::ReadRequest> requests = MakeRequests(names);
    Check(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      if (into[i].is_none()) continue;
      auto target = py::reinterpret_borrow<py::array>(into[i]);
      requests[i].out = {static_cast<std::byte*>(target.mutable_data()),
                         static_cast<size_t>(target.nbytes())};
    }
    const auto arena = AllocateArena(requests);
    const engine::ReadReport report = Read(requests, verify, num_threads, progress);
    const py::capsule owner = MakeOwner(arena);
    py::list arrays;
    for (size_t i = 0; i < requests.size(); ++i) {
      const engine::ReadRequest& request = requests[i];
      if (IsString(request.entry)) {
        arrays.append(StringsToPython(request, request.out, verify));
      } else if (!into[i].is_none()) {
        arrays.append(into[i]);
      } else {
        arrays.append(MakeArray(DTypeOf(request.entry, dtypes), request.entry.shape,
                                request.out, owner, true));
      }
    }
    return py::make_tuple(arrays, ReportToPython(report));
  }

  // (report, [(name, exception)]): the faults, in the order of the names.
  py::tuple Verify(const py::list& names, size_t num_threads,
                   const py::object& progress) const {
    std::vector<engine::ReadRequest> requests;
    py::list out;
    for (const py::handle name : names) {
      Result<Entry> entry = bundle_->Find(NameFromPython(name));
      if (entry.ok()) {
        requests.push_back({NameFromPython(name), std::move(entry).value(), {}});
      } else {
        out.append(py::make_tuple(name, MakeException(entry.status())));
      }
    }
    std::vector<engine::Fault> faults;
    PythonObserver observer(progress);
    auto report = [&] {
      const py::gil_scoped_release release;  // reads and checksums everything
      return engine::VerifyTensors(*bundle_, requests, {true, num_threads, &observer}, faults);
    }();
    const engine::ReadReport result = ValueOrThrow(std::move(report));
    for (const engine::Fault& fault : faults) {
      out.append(py::make_tuple(NameToPython(requests[fault.request].name),
                                MakeException(fault.status)));
    }
    return py::make_tuple(ReportToPython(result), out);
  }

 private:
  std::vector<engine::ReadRequest> MakeRequests(const py::list& names) const {
    std::vector<engine::ReadRequest> requests;
    requests.reserve(names.size());
    for (const py::handle name : names) {
      std::string key = NameFromPython(name);
      Entry entry = ValueOrThrow(bundle_->Find(key));
      requests.push_back({std::move(key), std::move(entry), {}});
    }
    return requests;
  }

  void Check(const std::vector<engine::ReadRequest>& requests) const {
    const Status status = [&] {
      const py::gil_scoped_release release;  // opens every shard
      return engine::CheckRequests(*bundle_, requests);
    }();
    ThrowIfError(status);
  }

  engine::ReadReport Read(const std::vector<engine::ReadRequest>& requests, bool verify,
                          size_t num_threads, const py::object& progress) const {
    PythonObserver observer(progress);
    auto report = [&] {
      const py::gil_scoped_release release;  // all I/O, checksums and copies
      return engine::ReadTensors(*bundle_, requests, {verify, num_threads, &observer});
    }();
    return ValueOrThrow(std::move(report));
  }

  // One region for all tensors without a destination, each at an aligned address.
  static std::shared_ptr<io::AlignedBuffer> AllocateArena(
      std::vector<engine::ReadRequest>& requests) {
    uint64_t size = 0;
    std::vector<uint64_t> offsets(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      if (!requests[i].out.empty()) continue;
      // No wrap: every tensor lies inside a file, and there are fewer than 2^32.
      offsets[i] = CeilDivide(size, kArrayAlignment) * kArrayAlignment;
      size = offsets[i] + requests[i].entry.size;
    }
    auto arena =
        std::make_shared<io::AlignedBuffer>(ValueOrThrow(io::AlignedBuffer::Allocate(size)));
    for (size_t i = 0; i < requests.size(); ++i) {
      if (!requests[i].out.empty()) continue;
      requests[i].out = arena->bytes().subspan(offsets[i], requests[i].entry.size);
    }
    return arena;
  }

  static py::dtype DTypeOf(const Entry& entry, const py::dict& dtypes) {
    return py::reinterpret_borrow<py::dtype>(dtypes[py::int_(static_cast<int>(entry.dtype))]);
  }

  static bool IsAligned(Bytes bytes, const py::dtype& dtype) {
    const auto address = reinterpret_cast<uintptr_t>(bytes.data());
    return bytes.empty() || address % static_cast<size_t>(dtype.alignment()) == 0;
  }

  static py::dict ReportToPython(const engine::ReadReport& report) {
    py::dict out;
    out["num_tensors"] = report.num_tensors;
    out["bytes"] = report.bytes;
    out["num_threads"] = report.num_threads;
    out["seconds"] = report.seconds;
    return out;
  }

  std::unique_ptr<engine::Bundle> bundle_;
};

}  // namespace

void RegisterBundle(py::module_& module) {
  py::class_<PyBundle>(module, "Bundle")
      .def(py::init<const std::string&>(), py::arg("prefix"))
      .def_property_readonly("num_shards", &PyBundle::num_shards)
      .def("shard_path", &PyBundle::ShardPath, py::arg("shard"))
      .def("names", &PyBundle::Names)
      .def("entries", &PyBundle::Entries)
      .def("find", &PyBundle::Find, py::arg("name"))
      .def("contains", &PyBundle::Contains, py::arg("name"))
      .def("map", &PyBundle::Map, py::arg("names"), py::kw_only(), py::arg("dtypes"),
           py::arg("writable"), py::arg("verify"), py::arg("num_threads"), py::arg("progress"))
      .def("load", &PyBundle::Load, py::arg("names"), py::kw_only(), py::arg("into"),
           py::arg("dtypes"), py::arg("verify"), py::arg("num_threads"), py::arg("progress"))
      .def("verify", &PyBundle::Verify, py::arg("names"), py::kw_only(),
           py::arg("num_threads"), py::arg("progress"));
}

}  // namespace tensorbundle::bindings
