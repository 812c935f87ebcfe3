// Entries, and tensors of strings and variants, as Python sees them.
//
// GIL: needed.

#pragma once

#include <pybind11/pybind11.h>

#include <bit>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/partition.h"
#include "engine/reader.h"
#include "engine/v1_checkpoint.h"
#include "format/elements.h"
#include "format/entry.h"

namespace tensorbundle::bindings {

// Whether the tensor becomes a list of bytes: strings and variants.
inline bool IsList(const format::Entry& entry) { return !format::HasElementSize(entry.dtype); }

// (DataType number, shape, shard, offset, size, CRC-32C, slices)
pybind11::tuple EntryToPython(const format::Entry& entry);
// The same, with None for what a V1 checkpoint has not: an offset and a checksum.
pybind11::tuple EntryToPython(const engine::V1Checkpoint::Tensor& tensor);

pybind11::tuple ShapeToPython(const format::Shape& shape);
pybind11::list SlicesToPython(const std::vector<format::Slice>& slices);
pybind11::list BytesToPython(std::span<const Bytes> elements);

// The elements of a tensor that IsList(), in C order.
//
// Errors: those of format::DecodeElements()
Result<pybind11::list> ElementsToPython(const engine::ReadRequest& request, Bytes stored,
                                        std::endian order, bool verify);

// Puts the elements of the box `from` that `to` shares in their places in `out`, whose
// elements are those of `to`.
void PlaceElements(const pybind11::list& elements, const engine::Box& from,
                   const engine::Box& to, pybind11::list& out);

}  // namespace tensorbundle::bindings
