#include "engine/page_supply.h"

#include "io/aligned_buffer.h"

namespace tensorbundle::engine {
namespace {

// Long enough to outlast a thread's losing its processor now and then.
constexpr uint64_t kStretch = 32u << 20;  // bytes

// Half of what small pages come at where they are there (benchmarks/README.md, "How fast
// is a load?"): slower than this, huge pages are being fetched from elsewhere.
constexpr double kSlow = 3e9;  // bytes per second and thread

}  // namespace

void PageSupply::UseSmallPages(MutableBytes memory) { io::AdviseSmallPages(memory); }

void PageSupply::Supply(MutableBytes memory, TransferSeconds& seconds) {
  const Clock::time_point start = Clock::now();
  io::Populate(memory);
  const double taken = SecondsSince(start);
  seconds.page_faults += taken;
  if (!prefers_small_pages()) Measure(memory.size(), taken);
}

void PageSupply::Measure(uint64_t bytes, double seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  bytes_ += bytes;
  seconds_ += seconds;
  if (bytes_ < kStretch) return;
  if (static_cast<double>(bytes_) < kSlow * seconds_) small_ = true;
  bytes_ = 0;
  seconds_ = 0;
}

}  // namespace tensorbundle::engine
