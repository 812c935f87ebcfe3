#include "engine/mapper.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "base/alignment.h"
#include "engine/thread_pool.h"

namespace tensorbundle::engine {
namespace {

using io::MapAdvice;

// What one thread populates at once: large, so that the kernel's read-ahead gets going,
// and small beside what makes threads worth while.  Measured: benchmarks/maps.py.
constexpr uint64_t kPopulateSize = uint64_t{64} << 20;  // bytes

// Some pages of a file.
struct Range {
  const io::MappedFile* file = nullptr;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Decides for each shard once.
class ShardPolicy {
 public:
  ShardPolicy(const Bundle& bundle, MapPolicy policy) : bundle_(bundle), policy_(policy) {}

  // Why not to map that shard; empty: map it.
  const std::string& WhyNot(uint32_t shard) {
    const auto found = reasons_.find(shard);
    return found != reasons_.end() ? found->second : Refuse(shard, Decide(shard));
  }

  const std::string& Refuse(uint32_t shard, std::string reason) {
    return reasons_[shard] = std::move(reason);
  }

 private:
  std::string Decide(uint32_t shard) const {
    if (policy_ == MapPolicy::kNever) return "not asked for";
    if (policy_ == MapPolicy::kAlways) return "";
    return bundle_.WhyNotMap(shard);
  }

  const Bundle& bundle_;
  const MapPolicy policy_;
  std::map<uint32_t, std::string> reasons_;
};

std::vector<Range> RangesOf(std::span<const ReadRequest> requests,
                            std::span<const Views::value_type> views) {
  const uint64_t page = io::MapPageSize();
  std::vector<Range> ranges;
  for (size_t i = 0; i < views.size(); ++i) {
    const auto& view = views[i];
    if (!view.has_value() || view->bytes.empty()) continue;
    const io::MappedFile& file = *view->file;
    const uint64_t end = requests[i].entry.offset + view->bytes.size();  // inside the file
    ranges.push_back({&file, AlignDown(requests[i].entry.offset, page),
                      std::min(AlignUp(end, page), file.size())});
  }
  return ranges;
}

// The same pages, each once, in as few ranges as can be.
std::vector<Range> Merged(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.file, a.begin) < std::pair(b.file, b.begin);
  });
  std::vector<Range> merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && merged.back().file == range.file &&
        merged.back().end >= range.begin) {
      merged.back().end = std::max(merged.back().end, range.end);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

Status AdviseRange(const Range& range, MapAdvice advice) {
  return range.file->Advise(range.begin, range.end - range.begin, advice);
}

Result<size_t> Populate(const std::vector<Range>& ranges, const PrefetchOptions& options) {
  std::vector<Range> pieces;
  RunOptions run;
  for (const Range& range : ranges) {
    run.total_bytes += range.end - range.begin;
    for (uint64_t begin = range.begin; begin < range.end; begin += kPopulateSize) {
      pieces.push_back({range.file, begin, std::min(range.end, begin + kPopulateSize)});
    }
  }
  const size_t wanted = options.num_threads != 0 ? options.num_threads : DefaultNumThreads();
  run.num_threads = std::clamp<size_t>(wanted, 1, std::max<size_t>(1, pieces.size()));
  run.observer = options.observer;
  TB_RETURN_IF_ERROR(RunJobs(
      pieces.size(),
      [&](size_t index, JobContext& context) {
        const Range& piece = pieces[index];
        TB_RETURN_IF_ERROR(AdviseRange(piece, MapAdvice::kPopulate));
        context.AddDone(piece.end - piece.begin);
        return Status();
      },
      run));
  return run.num_threads;
}

}  // namespace

Result<MappedTensors> MapTensors(const Bundle& bundle, std::span<const ReadRequest> requests,
                                 MapPolicy policy, io::MapAccess access) {
  ShardPolicy shards(bundle, policy);
  MappedTensors mapped;
  mapped.views.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const format::Entry& entry = requests[i].entry;
    if (!entry.slices.empty()) continue;  // to be put together
    std::string why_not =
        bundle.IsForeign(entry) ? "the bundle is big-endian" : shards.WhyNot(entry.shard_id);
    if (why_not.empty()) {
      auto view = bundle.Map(entry, access);
      if (view.ok()) {
        mapped.views[i] = std::move(view).value();
        continue;
      }
      if (view.status().error_number() != ENODEV || policy == MapPolicy::kAlways) {
        return std::move(view).status().WithKey(requests[i].name).WithOffset(entry.offset);
      }
      why_not = shards.Refuse(entry.shard_id, "the file system cannot map files");
    }
    if (mapped.reason.empty()) mapped.reason = std::move(why_not);
  }
  return mapped;
}

Result<size_t> Prefetch(std::span<const ReadRequest> requests,
                        std::span<const Views::value_type> views,
                        const PrefetchOptions& options) {
  if (options.advice == MapAdvice::kNormal) return 1;  // what a map begins with
  std::vector<Range> ranges = RangesOf(requests, views);
  if (options.advice == MapAdvice::kSequential || options.advice == MapAdvice::kRandom) {
    for (Range& range : ranges) range = {range.file, 0, range.file->size()};
  }
  ranges = Merged(std::move(ranges));
  if (options.advice == MapAdvice::kPopulate) return Populate(ranges, options);
  for (const Range& range : ranges) TB_RETURN_IF_ERROR(AdviseRange(range, options.advice));
  return 1;
}

}  // namespace tensorbundle::engine
