// Bytes of a tensor that a Python function produces: of memory that only its framework can
// read, such as another device's.
//
// Ownership: borrows the function, which the SavedTensors keeps.
//
// GIL: taken in Read(), by the thread that calls it; not needed by anything else.

#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>

#include "engine/tensor_view.h"

namespace tensorbundle::bindings {

// The first exception that a function of one save has raised.
struct CallbackFailure {
  std::optional<pybind11::error_already_set> error;

  // Raises it, if there is one.
  void Rethrow() const {
    if (error.has_value()) throw pybind11::error_already_set(*error);
  }
};

class CallbackSource final : public engine::StagedSource {
 public:
  // `read` is called with an offset and a writable memoryview to fill, which it must not
  // keep; by any thread, by several at once.
  CallbackSource(pybind11::handle read, std::shared_ptr<CallbackFailure> failure)
      : read_(read), failure_(std::move(failure)) {}

  // Errors: kCancelled  the function has raised; `failure` has the exception
  Status Read(uint64_t offset, MutableBytes out) const override;

  // All that there is room for: each call costs some microseconds.
  uint64_t block_size() const override { return UINT64_MAX; }

 private:
  const pybind11::handle read_;
  const std::shared_ptr<CallbackFailure> failure_;
};

}  // namespace tensorbundle::bindings
