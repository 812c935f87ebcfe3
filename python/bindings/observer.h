// Ctrl-C and progress during a long call.
//
// The engine polls on the calling thread while the GIL is released.  PythonObserver
// takes it, lets Python run its signal handlers and the caller's callback, and stops
// the operation when either raises; the exception stays set for ThrowIfError().

#pragma once

#include <pybind11/pybind11.h>

#include <utility>

#include "bindings/gil.h"
#include "engine/observer.h"

namespace tensorbundle::bindings {

class PythonObserver final : public engine::Observer {
 public:
  // `progress` is None or a callable (done: int, total: int), both in bytes.
  explicit PythonObserver(pybind11::object progress)
      : progress_(std::move(progress)), is_last_(IsFinalizing()) {}

  bool Poll(uint64_t done, uint64_t total) override;

 private:
  const pybind11::object progress_;
  const bool is_last_;  // made by the thread that ends the interpreter
};

}  // namespace tensorbundle::bindings
