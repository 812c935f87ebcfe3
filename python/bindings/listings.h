// What is in a bundle, as Python lists: names, and what each name stands for.
//
// The index is read without the GIL, into memory without a Python object; then the list is
// made in one go.
//
// GIL: needed on entry; released while the index is read.

#pragma once

#include <pybind11/pybind11.h>

#include "engine/bundle.h"

namespace tensorbundle::bindings {

// Every tensor's name, in the order of the index.
pybind11::list ListNames(const engine::Bundle& bundle);

// [(name, [dimension, ...])], in the order of the index.
//
// Raises what is wrong with the first entry that is damaged
pybind11::list ListShapes(const engine::Bundle& bundle);

// Each tensor's DataType number, in the order of the index.
//
// Raises like ListShapes()
pybind11::list ListDTypes(const engine::Bundle& bundle);

// [(name, entry tuple or exception)], in the order of the index; see EntryToPython().
pybind11::list ListEntries(const engine::Bundle& bundle);

}  // namespace tensorbundle::bindings
