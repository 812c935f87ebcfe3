// What differs between two bundles, as Python lists.
//
// GIL: needed on entry; released while the indexes are read.

#pragma once

#include <pybind11/pybind11.h>

#include "engine/bundle.h"

namespace tensorbundle::bindings {

// {"same": [name], "removed", "added", "changed", "different", "unknown": [(name, a, b)]},
// where a and b are (DataType number, shape), or None for a bundle without the tensor.
//
// Raises what is wrong with the first entry that is damaged
pybind11::dict DiffToPython(const engine::Bundle& first, const engine::Bundle& second);

}  // namespace tensorbundle::bindings
