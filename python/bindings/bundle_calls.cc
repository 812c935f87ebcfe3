#include "bindings/bundle_calls.h"

#include <optional>
#include <utility>

#include "bindings/backends.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/names.h"
#include "bindings/observer.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

using Requests = std::vector<engine::ReadRequest>;

engine::ReadMode ModeOf(std::optional<io::Backend> backend) {
  if (!backend.has_value()) return engine::ReadMode::kAuto;
  return *backend == io::Backend::kBuffered ? engine::ReadMode::kBuffered
                                            : engine::ReadMode::kDirect;
}

}  // namespace

BundleCalls::BundleCalls(const std::string& prefix, const std::string& backend,
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

Requests BundleCalls::MakeRequests(const py::list& names) const {
  Requests requests(names.size());
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

engine::Assembly BundleCalls::Assemble(Requests& tensors) const {
  auto assembly = [&] {
    const GilRelease release;  // reads the index
    return engine::Assembly::Make(*bundle_, tensors);
  }();
  return ValueOrThrow(std::move(assembly));
}

Result<Requests> BundleCalls::RequestsToVerify(std::string name) const {
  engine::ReadRequest tensor;
  tensor.name = std::move(name);
  TB_ASSIGN_OR_RETURN(tensor.entry, bundle_->Find(tensor.name));
  TB_ASSIGN_OR_RETURN(const auto assembly, engine::Assembly::Make(*bundle_, {&tensor, 1}));
  return assembly.Requests({&tensor, 1});
}

void BundleCalls::Check(const Requests& requests) const {
  const Status status = [&] {
    const GilRelease release;  // opens every shard
    return engine::CheckRequests(*bundle_, requests);
  }();
  ThrowIfError(status);
}

engine::MappedTensors BundleCalls::Map(const Requests& requests,
                                       const MapArguments& how) const {
  const auto access = how.writable ? io::MapAccess::kPrivate : io::MapAccess::kReadOnly;
  auto mapped = [&] {
    const GilRelease release;  // opens and maps files
    return engine::MapTensors(*bundle_, requests, how.policy, access);
  }();
  return ValueOrThrow(std::move(mapped));
}

engine::ReadReport BundleCalls::Read(const Requests& requests,
                                     const ReadArguments& arguments) const {
  return ReadBy(mode_, requests, arguments);
}

// A map that is verified through the page cache is in it when it is touched; past it, the
// disk would be read twice.
engine::ReadReport BundleCalls::ReadBesideMaps(const Requests& requests, size_t num_own,
                                               const ReadArguments& arguments) const {
  if (requests.empty()) return {};
  const bool verifies_maps = requests.size() > num_own;
  const bool cached = verifies_maps && mode_ == engine::ReadMode::kAuto;
  return ReadBy(cached ? engine::ReadMode::kBuffered : mode_, requests, arguments);
}

engine::ReadReport BundleCalls::ReadBy(engine::ReadMode mode, const Requests& requests,
                                       const ReadArguments& arguments) const {
  PythonObserver observer(arguments.progress);
  const engine::ReadOptions options = OptionsOf(arguments, mode, observer);
  auto report = [&] {
    const GilRelease release;  // all I/O, checksums and copies
    return engine::ReadTensors(*bundle_, requests, options);
  }();
  return ValueOrThrow(std::move(report));
}

engine::ReadReport BundleCalls::Verify(const Requests& requests,
                                       const ReadArguments& arguments,
                                       std::vector<engine::Fault>& faults) const {
  PythonObserver observer(arguments.progress);
  auto report = [&] {
    const GilRelease release;  // reads and checksums everything
    return engine::VerifyTensors(*bundle_, requests, OptionsOf(arguments, mode_, observer),
                                 faults);
  }();
  return ValueOrThrow(std::move(report));
}

}  // namespace tensorbundle::bindings
