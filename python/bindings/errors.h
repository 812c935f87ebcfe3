// From Status to Python exception: the only place where that happens.
//
// The classes live in tensorbundle/errors.py, which hands the module a factory; so
// the core never names a Python class, and the package decides what a code becomes.
//
// GIL: everything here needs it, and it must be held until the exception is handled.

#pragma once

#include <pybind11/pybind11.h>

#include <utility>

#include "base/result.h"
#include "base/status.h"

namespace tensorbundle::bindings {

// The exception object for a failure; not raised.
pybind11::object MakeException(const Status& status);

void ThrowIfError(const Status& status);

template <typename T>
T ValueOrThrow(Result<T> result) {
  if (!result.ok()) ThrowIfError(result.status());
  return std::move(result).value();
}

}  // namespace tensorbundle::bindings
