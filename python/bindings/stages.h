// The stages of a transfer as Python sees them.

#pragma once

#include <pybind11/pybind11.h>

#include "engine/stages.h"

namespace tensorbundle::bindings {

// {stage: seconds}, of all threads together.  GIL: needed
inline pybind11::dict StagesToPython(const engine::TransferSeconds& seconds) {
  pybind11::dict stages;
  stages["page_faults"] = seconds.page_faults;
  stages["copy"] = seconds.copy;
  stages["checksum"] = seconds.checksum;
  stages["submit"] = seconds.submit;
  stages["wait"] = seconds.wait;
  stages["sync"] = seconds.sync;
  return stages;
}

}  // namespace tensorbundle::bindings
