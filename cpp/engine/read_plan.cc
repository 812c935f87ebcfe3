#include "engine/read_plan.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "base/alignment.h"

namespace tensorbundle::engine {
namespace {

// Whether `range` can be fetched along with `job`, which is a run of small ranges.
bool Joins(const ReadJob& job, const ReadRange& range) {
  if (job.ranges.empty() || range.shard != job.shard) return false;
  if (range.offset > job.end && range.offset - job.end > kGatherGap) return false;
  // Ranges are ordered by offset, and small, so the sum cannot wrap.
  return std::max(job.end, range.offset + range.size) - job.begin <= kGatherSize;
}

void AddParts(const ReadRange& range, uint32_t index, std::vector<ReadJob>& jobs) {
  const uint64_t end = range.offset + range.size;
  for (uint64_t begin = range.offset; begin < end;) {
    // Cut at multiples of the part size in the file, which suit any device's granule.
    const uint64_t cut = AlignDown(begin, kPartSize) + kPartSize;
    const uint64_t stop = range.whole ? end : std::min(cut, end);
    jobs.push_back({range.shard, begin, stop, {index}});
    begin = stop;
  }
}

}  // namespace

std::vector<ReadJob> PlanReads(std::span<const ReadRange> ranges) {
  std::vector<uint32_t> order(ranges.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::tie(ranges[a].shard, ranges[a].offset, a) <
           std::tie(ranges[b].shard, ranges[b].offset, b);
  });

  std::vector<ReadJob> jobs;
  ReadJob run;  // of small ranges, not in `jobs` yet
  const auto finish_run = [&] {
    if (!run.ranges.empty()) jobs.push_back(std::move(run));
    run = ReadJob();
  };
  for (const uint32_t i : order) {
    const ReadRange& range = ranges[i];
    if (range.size == 0) continue;
    if (range.whole || range.size > kSmallTensor) {
      finish_run();
      AddParts(range, i, jobs);
      continue;
    }
    if (!Joins(run, range)) {
      finish_run();
      run = {range.shard, range.offset, range.offset, {}};
    }
    run.end = std::max(run.end, range.offset + range.size);
    run.ranges.push_back(i);
  }
  finish_run();
  return jobs;
}

}  // namespace tensorbundle::engine
