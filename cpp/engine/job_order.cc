#include "engine/job_order.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace tensorbundle::engine {

JobOrder OrderJobs(const Plan& plan, std::span<const Extent> extents,
                   std::span<const TensorView> tensors) {
  const auto is_borrowed = [&](size_t index) {
    const Extent& extent = extents[index];
    const std::vector<uint32_t>& order = plan.shards[extent.shard].tensors;
    return std::any_of(order.begin() + extent.first_tensor, order.begin() + extent.end_tensor,
                       [&](uint32_t tensor) { return tensors[tensor].borrowed; });
  };
  JobOrder jobs;
  jobs.extents.resize(extents.size());
  std::iota(jobs.extents.begin(), jobs.extents.end(), size_t{0});
  const auto others =
      std::stable_partition(jobs.extents.begin(), jobs.extents.end(), is_borrowed);
  jobs.num_borrowed = static_cast<size_t>(others - jobs.extents.begin());
  return jobs;
}

}  // namespace tensorbundle::engine
