// Entries and string tensors as Python sees them.
//
// GIL: needed.

#pragma once

#include <pybind11/pybind11.h>

#include "base/bytes.h"
#include "engine/reader.h"
#include "format/entry.h"

namespace tensorbundle::bindings {

inline bool IsString(const format::Entry& entry) {
  return entry.dtype == format::DType::kString;
}

// (DataType number, shape, shard, offset, size, CRC-32C, slices)
pybind11::tuple EntryToPython(const format::Entry& entry);

// The elements of a string tensor as a list of bytes, in C order.
pybind11::list StringsToPython(const engine::ReadRequest& request, Bytes stored, bool verify);

}  // namespace tensorbundle::bindings
