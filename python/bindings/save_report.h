// What a save did, as Python sees it.

#pragma once

#include <pybind11/pybind11.h>

#include "engine/backend_choice.h"
#include "engine/writer.h"

namespace tensorbundle::bindings {

// The fields of reports.SaveReport but for those that the package knows.  GIL: needed
pybind11::dict ReportToPython(const engine::SaveReport& report,
                              const engine::BackendChoice& choice);

}  // namespace tensorbundle::bindings
