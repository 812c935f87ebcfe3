#include "fuzz/reading.h"

#include <utility>

#include "format/elements.h"
#include "fuzz/checks.h"

namespace tensorbundle::fuzz {
namespace {

using engine::Assembly;
using engine::ReadRequest;

// A tensor whose parts are known.
struct Located {
  size_t name = 0;  // index
  ReadRequest tensor;
  Assembly assembly;
  bool sound = true;
  bool refused = false;  // for what it is, not for how much is read along with it

  std::vector<ReadRequest> Requests() const { return assembly.Requests({&tensor, 1}); }
};

Result<Located> Locate(const engine::Bundle& bundle, const std::string& name) {
  Located located;
  located.tensor.name = name;
  format::TableLookup lookup = bundle.MakeLookup();
  TB_ASSIGN_OR_RETURN(located.tensor.entry, engine::FindToRead(bundle, name, lookup));
  TB_ASSIGN_OR_RETURN(located.assembly, Assembly::Make(bundle, {&located.tensor, 1}));
  return located;
}

// Leaves out those that have no place in the bundle's files.
std::vector<Located> LocateAll(const engine::Bundle& bundle,
                               std::span<const std::string> names) {
  std::vector<Located> all;
  for (size_t i = 0; i < names.size(); ++i) {
    auto located = Locate(bundle, names[i]);
    if (!located.ok()) {
      RequirePlaced(located.status());
      continue;
    }
    all.push_back(std::move(located).value());
    all.back().name = i;
  }
  return all;
}

void VerifyAll(const engine::Bundle& bundle, std::vector<Located>& all) {
  std::vector<ReadRequest> requests;
  std::vector<Located*> owners;  // by request
  for (Located& located : all) {
    for (ReadRequest& request : located.Requests()) {
      requests.push_back(std::move(request));
      owners.push_back(&located);
    }
  }
  std::vector<engine::Fault> faults;
  const auto report = engine::VerifyTensors(bundle, requests, ReadingOptions(), faults);
  Require(report.ok(), "a verification ends", report.status());
  for (const engine::Fault& fault : faults) {
    RequirePlaced(fault.status);
    Require(!fault.status.key().empty(), "a fault names its tensor");
    Require(fault.status.shard().has_value(), "a fault names its shard");
    owners[fault.request]->sound = false;
    owners[fault.request]->refused |= fault.status.code() != Code::kLimitExceeded;
  }
}

// False where it was refused.
bool ReadOne(const engine::Bundle& bundle, Located& located, Values& values) {
  ReadRequest& tensor = located.tensor;
  const Status room = engine::CheckRequests(bundle, located.Requests());
  if (!room.ok()) {
    RequirePlaced(room);
    return false;
  }
  Require(tensor.entry.size <= kMostBytes, "nothing is larger than what is stored");
  std::vector<std::byte> memory(tensor.entry.size);
  tensor.out = memory;
  const auto report = engine::ReadTensors(bundle, located.Requests(), ReadingOptions());
  if (!report.ok()) {
    RequirePlaced(report.status());
    return false;
  }
  const engine::Box whole = engine::WholeBox(tensor.entry.shape);
  const std::vector<engine::StoredPart> own = {{{}, tensor.entry, whole}};
  const auto parts =
      tensor.entry.slices.empty() ? std::span(own) : located.assembly.PartsOf(0);
  auto found = ValuesOf(bundle, tensor.entry.dtype, parts, whole, memory);
  if (found.ok()) values = std::move(found).value();
  return found.ok();
}

}  // namespace

engine::ReadOptions ReadingOptions() {
  engine::ReadOptions options;
  options.num_threads = 1;
  return options;
}

Result<Values> ValuesOf(const engine::Bundle& bundle, format::DType dtype,
                        std::span<const engine::StoredPart> parts, const engine::Box& wanted,
                        Bytes stored) {
  if (format::HasElementSize(dtype)) return Values{std::string(AsText(stored))};
  std::vector<Bytes> elements(engine::Volume(wanted));
  for (const engine::StoredPart& part : parts) {
    TB_ASSIGN_OR_RETURN(const auto own,
                        format::DecodeElements(part.entry, stored.first(part.entry.size),
                                               bundle.byte_order(), true));
    stored = stored.subspan(part.entry.size);
    if (!engine::Intersection(part.place, wanted).has_value()) continue;
    // The views are the elements: they are what is moved to its place.
    engine::BoxCopy(part.place, wanted, sizeof(Bytes))
        .Place(0, std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(elements)));
  }
  Values values;
  for (const Bytes element : elements) values.emplace_back(AsText(element));
  return values;
}

std::vector<std::optional<Values>> VerifyAndRead(const engine::Bundle& bundle,
                                                 std::span<const std::string> names) {
  std::vector<std::optional<Values>> all(names.size());
  std::vector<Located> located = LocateAll(bundle, names);
  VerifyAll(bundle, located);
  // One faulty tensor stands for all: what is refused costs as much as what is read.
  bool any_faulty = false;
  for (Located& one : located) {
    if (!one.sound && std::exchange(any_faulty, true)) continue;
    Values values;
    const bool read = ReadOne(bundle, one, values);
    Require(read || !one.sound, "what is verified is read");
    Require(!read || !one.refused, "what is no good is not read");
    if (one.sound) all[one.name] = std::move(values);
  }
  return all;
}

}  // namespace tensorbundle::fuzz
