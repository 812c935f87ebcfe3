// NumPy arrays over memory that the core owns.
//
// Every array has a base object that keeps its memory: a capsule with a share in the
// mapped file, or in the arena of one load.  The memory goes with the last array.
//
// GIL: needed.

#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>

#include "base/bytes.h"
#include "format/entry.h"

namespace tensorbundle::bindings {

// A capsule that owns a share of `owner`.
template <typename T>
pybind11::capsule MakeOwner(std::shared_ptr<T> owner) {
  auto held = std::make_unique<std::shared_ptr<T>>(std::move(owner));
  pybind11::capsule capsule(held.get(),
                            [](void* p) { delete static_cast<std::shared_ptr<T>*>(p); });
  static_cast<void>(held.release());  // the capsule owns it now
  return capsule;
}

// Errors: kUnsupportedRank  NumPy has no arrays of so many dimensions
Status CheckRank(const format::Shape& shape);

// Of its own memory, not yet filled.
//
// REQUIRES: CheckRank(shape)
pybind11::array NewArray(const pybind11::dtype& dtype, const format::Shape& shape);

// A view of `bytes` as an array of `dtype` in C order; `owner` becomes its base.
//
// REQUIRES: bytes.size() is the shape's product times the dtype's size; CheckRank(shape)
//           is OK
pybind11::array MakeArray(const pybind11::dtype& dtype, const format::Shape& shape,
                          Bytes bytes, const pybind11::object& owner, bool writable);

}  // namespace tensorbundle::bindings
