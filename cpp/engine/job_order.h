// The order in which the extents of a save are written: those with borrowed tensors first, as
// their memory is waited for (engine/snapshot.h).

#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/extents.h"
#include "engine/plan.h"
#include "engine/tensor_view.h"

namespace tensorbundle::engine {

struct JobOrder {
  std::vector<size_t> extents;  // indexes, in the order of the jobs
  size_t num_borrowed = 0;      // so many of the first have borrowed tensors
};

JobOrder OrderJobs(const Plan& plan, std::span<const Extent> extents,
                   std::span<const TensorView> tensors);

}  // namespace tensorbundle::engine
