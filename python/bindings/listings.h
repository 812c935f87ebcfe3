// What is in a bundle, or in a V1 checkpoint, as Python lists: names, and what each name
// stands for.
//
// The index is read without the GIL, into memory without a Python object; then the list is
// made in one go.
//
// GIL: needed on entry; released while the index is read.

#pragma once

#include <pybind11/pybind11.h>

#include "engine/bundle.h"
#include "engine/v1_checkpoint.h"

namespace tensorbundle::bindings {

// A Checkpoint is an engine::Bundle or an engine::V1Checkpoint.

// Every tensor's name, in the order of the index.
template <typename Checkpoint>
pybind11::list ListNames(const Checkpoint& checkpoint);

// [(name, [dimension, ...])], in the order of the index.
//
// Raises what is wrong with the first entry that is damaged
template <typename Checkpoint>
pybind11::list ListShapes(const Checkpoint& checkpoint);

// Each tensor's DataType number, in the order of the index.
//
// Raises like ListShapes()
template <typename Checkpoint>
pybind11::list ListDTypes(const Checkpoint& checkpoint);

// [(name, entry tuple or exception)], in the order of the index; see EntryToPython().
template <typename Checkpoint>
pybind11::list ListEntries(const Checkpoint& checkpoint);

}  // namespace tensorbundle::bindings
