// Tensor names and paths between Python's text and the core's bytes.
//
// A name in a bundle may hold any byte.  It becomes str by UTF-8 with
// "surrogateescape" and goes back the same way, so every name survives the trip.
//
// GIL: needed.

#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>

namespace tensorbundle::bindings {

pybind11::str NameToPython(std::string_view name);

// Takes str or bytes.
std::string NameFromPython(pybind11::handle name);

}  // namespace tensorbundle::bindings
