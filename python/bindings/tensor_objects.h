// Python objects of a bundle's tensors whose bytes are in memory: NumPy arrays, and lists
// of bytes for strings and variants.
//
// What cannot be made of a tensor's bytes is raised with the tensor's place.
//
// GIL: needed.

#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "engine/assembly.h"
#include "engine/bundle.h"
#include "engine/partition.h"
#include "engine/reader.h"

namespace tensorbundle::bindings {

class TensorObjects {
 public:
  // Borrows the bundle.
  explicit TensorObjects(const engine::Bundle& bundle) : bundle_(bundle) {}

  // A view of `bytes`, which `owner` keeps.
  pybind11::array Array(const engine::ReadRequest& request, Bytes bytes,
                        const pybind11::dict& dtypes, const pybind11::object& owner,
                        bool writable) const;

  // The elements of tensors[index], which IsList(), whole or in parts.
  pybind11::list Elements(const std::vector<engine::ReadRequest>& tensors,
                          const engine::Assembly& assembly, size_t index, bool verify) const;

  // The elements of the box `wanted`, which the parts cover; `stored` has them one behind
  // the other.
  pybind11::list ElementsOfParts(const std::string& name,
                                 std::span<const engine::StoredPart> parts,
                                 const engine::Box& wanted, Bytes stored, bool verify) const;

 private:
  pybind11::list ElementsOf(const engine::ReadRequest& request, Bytes stored,
                            bool verify) const;
  Status Placed(const engine::ReadRequest& request, Status status) const;

  const engine::Bundle& bundle_;
};

}  // namespace tensorbundle::bindings
