#include "bindings/mapping.h"

#include <cassert>
#include <utility>

#include "base/alignment.h"
#include "bindings/arrays.h"
#include "bindings/entries.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

using engine::MapPolicy;
using io::MapAdvice;

template <typename Value, size_t kSize>
Value ValueNamed(const std::pair<std::string_view, Value> (&named)[kSize],
                 std::string_view name) {
  for (const auto& [own, value] : named) {
    if (own == name) return value;
  }
  assert(false);
  return named[0].second;
}

constexpr std::pair<std::string_view, MapPolicy> kPolicies[] = {
    {"never", MapPolicy::kNever},
    {"local", MapPolicy::kLocal},
    {"always", MapPolicy::kAlways}};

constexpr std::pair<std::string_view, MapAdvice> kAdvice[] = {
    {"normal", MapAdvice::kNormal},
    {"sequential", MapAdvice::kSequential},
    {"random", MapAdvice::kRandom},
    {"willneed", MapAdvice::kWillNeed},
    {"populate", MapAdvice::kPopulate}};

}  // namespace

MapArguments MapArgumentsFromNames(std::string_view policy, std::string_view prefetch,
                                   bool writable) {
  return {ValueNamed(kPolicies, policy), ValueNamed(kAdvice, prefetch), writable};
}

py::dtype DTypeOf(format::DType dtype, const py::dict& dtypes) {
  return py::reinterpret_borrow<py::dtype>(dtypes[py::int_(static_cast<int>(dtype))]);
}

void DropLists(const std::vector<engine::ReadRequest>& requests, engine::Views& views) {
  for (size_t i = 0; i < views.size(); ++i) {
    if (IsList(requests[i].entry)) views[i].reset();
  }
}

py::list DropUnsuitable(const py::list& names,
                        const std::vector<engine::ReadRequest>& requests,
                        const py::dict& dtypes, engine::Views& views) {
  py::list unsuitable;
  for (size_t i = 0; i < views.size(); ++i) {
    if (!requests[i].entry.slices.empty()) unsuitable.append(names[i]);
    if (!views[i].has_value() || views[i]->bytes.empty()) continue;
    const auto alignment =
        static_cast<uint64_t>(DTypeOf(requests[i].entry.dtype, dtypes).alignment());
    if (IsAligned(views[i]->bytes.data(), alignment)) continue;
    views[i].reset();
    unsuitable.append(names[i]);
  }
  return unsuitable;
}

std::vector<engine::ReadRequest> Absent(const std::vector<engine::ReadRequest>& requests,
                                        const engine::Views& views) {
  std::vector<engine::ReadRequest> absent;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!views[i].has_value()) absent.push_back(requests[i]);
  }
  return absent;
}

void AddToVerify(const std::vector<engine::ReadRequest>& requests, const engine::Views& views,
                 std::vector<engine::ReadRequest>& to_read) {
  for (size_t i = 0; i < requests.size(); ++i) {
    if (views[i].has_value()) to_read.push_back(requests[i]);
  }
}

const py::object& MapOwners::Of(const engine::Views::value_type& view) {
  if (!view.has_value()) return of_own_;
  py::object& owner = of_maps_[view->file.get()];
  if (!owner) owner = MakeOwner(view->file);
  return owner;
}

}  // namespace tensorbundle::bindings
