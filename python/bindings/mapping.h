// Mapped tensors on their way to Python: which are views, and what keeps them.
//
// GIL: needed.

#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <map>
#include <string_view>
#include <vector>

#include "engine/mapper.h"
#include "engine/reader.h"
#include "io/map_advice.h"

namespace tensorbundle::bindings {

// How to map; made once per call by the package.
struct MapArguments {
  engine::MapPolicy policy = engine::MapPolicy::kLocal;
  io::MapAdvice advice = io::MapAdvice::kNormal;
  bool writable = false;
};

// REQUIRES: the package has checked the names
MapArguments MapArgumentsFromNames(std::string_view policy, std::string_view prefetch,
                                   bool writable);

pybind11::dtype DTypeOf(format::DType dtype, const pybind11::dict& dtypes);

// Takes away the views of strings and variants: their elements are copied to Python objects,
// and to copy from a map is to die of SIGBUS where its file was cut short.
void DropLists(const std::vector<engine::ReadRequest>& requests, engine::Views& views);

// Takes away the views whose addresses do not suit NumPy's dtype; gives their names, and
// those of partitioned tensors, which have no view.
pybind11::list DropUnsuitable(const pybind11::list& names,
                              const std::vector<engine::ReadRequest>& requests,
                              const pybind11::dict& dtypes, engine::Views& views);

// The requests without a view.
std::vector<engine::ReadRequest> Absent(const std::vector<engine::ReadRequest>& requests,
                                        const engine::Views& views);

// Appends those with a view, to be verified only.
void AddToVerify(const std::vector<engine::ReadRequest>& requests, const engine::Views& views,
                 std::vector<engine::ReadRequest>& to_read);

// The objects that keep arrays' memory: one per mapped file, and one for what was read.
class MapOwners {
 public:
  explicit MapOwners(pybind11::object of_own) : of_own_(std::move(of_own)) {}

  const pybind11::object& Of(const engine::Views::value_type& view);

 private:
  const pybind11::object of_own_;
  std::map<const io::MappedFile*, pybind11::object> of_maps_;
};

}  // namespace tensorbundle::bindings
