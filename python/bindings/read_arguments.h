// How to read, made once per call by the package; and what a read did, as a dict.
//
// GIL: needed.

#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "bindings/observer.h"
#include "bindings/stages.h"
#include "engine/reader.h"

namespace tensorbundle::bindings {

struct ReadArguments {
  bool verify = true;
  size_t num_threads = 0;
  uint64_t block_size = 0;
  uint32_t queue_depth = 0;
  pybind11::object progress;
  bool fresh = false;  // nobody has touched the memory of `into` yet
  bool again = false;  // all of it will be read once more: leave it in the page cache
};

// The observer is borrowed by the result.
inline engine::ReadOptions OptionsOf(const ReadArguments& arguments, engine::ReadMode mode,
                                     PythonObserver& observer) {
  engine::ReadOptions options;
  const bool cached = arguments.again && mode == engine::ReadMode::kAuto;
  options.verify = arguments.verify;
  options.mode = cached ? engine::ReadMode::kBuffered : mode;
  options.num_threads = arguments.num_threads;
  options.transfer.block_size = arguments.block_size;
  options.transfer.queue_depth = arguments.queue_depth;
  options.observer = &observer;
  return options;
}

inline pybind11::dict ReportToPython(const engine::ReadReport& report) {
  pybind11::dict out;
  out["num_tensors"] = report.num_tensors;
  out["bytes"] = report.bytes;
  out["direct_bytes"] = report.direct_bytes;
  out["num_threads"] = report.num_threads;
  out["seconds"] = report.seconds;
  out["queue_reason"] = report.queue_reason;
  pybind11::dict stages = StagesToPython(report.stages);
  stages["plan"] = report.plan_seconds;
  out["stages"] = stages;
  return out;
}

}  // namespace tensorbundle::bindings
