#include "bindings/save_report.h"

#include "bindings/names.h"
#include "bindings/stages.h"
#include "io/backend.h"

namespace py = pybind11;

namespace tensorbundle::bindings {

py::dict ReportToPython(const engine::SaveReport& report,
                        const engine::BackendChoice& choice) {
  py::dict out;
  out["num_tensors"] = report.num_tensors;
  out["num_shards"] = report.num_shards;
  out["tensor_bytes"] = report.tensor_bytes;
  out["file_bytes"] = report.file_bytes;
  out["linked_bytes"] = report.linked_bytes;
  out["recycled_bytes"] = report.recycled_bytes;
  out["incremental_reason"] = NameToPython(report.incremental_reason);
  out["zero_copy_bytes"] = report.zero_copy_bytes;
  out["staged_bytes"] = report.staged_bytes;
  out["num_threads"] = report.num_threads;
  out["seconds"] = report.seconds;
  out["write_seconds"] = report.write_seconds;
  py::dict stages = StagesToPython(report.stages);
  stages["fingerprint"] = report.fingerprint_seconds;
  stages["plan"] = report.plan_seconds;
  stages["publish"] = report.publish_seconds;
  stages["remove"] = report.remove_seconds;
  out["stages"] = stages;
  // io_uring may be granted to the probe, and refused to a thread a moment later.
  const bool refused = !report.queue_reason.empty();
  out["backend"] = py::str(io::BackendName(refused ? io::Backend::kDirect : choice.backend));
  out["backend_reason"] = refused ? report.queue_reason : choice.reason;
  return out;
}

}  // namespace tensorbundle::bindings
