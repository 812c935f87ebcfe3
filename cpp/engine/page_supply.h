// Gives the fresh memory of a load its pages, just before each block is filled.
//
// Huge pages are preferred: a device and the processor are faster with them, and on most
// machines they come at 10 GB/s and more.  In a virtual machine whose host takes free
// memory back they may come ten times slower than small pages, which are handed out of
// what is there already.  That cannot be asked, only measured: when a stretch of huge
// pages was slow, the rest of the load takes small ones.
//
// Threads: any thread may call any method.

#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/bytes.h"
#include "engine/stages.h"

namespace tensorbundle::engine {

class PageSupply {
 public:
  // Whether memory not supplied yet had better be of small pages.
  bool prefers_small_pages() const { return small_.load(std::memory_order_relaxed); }

  // Advises on memory that nobody has touched; before any of it is supplied.
  static void UseSmallPages(MutableBytes memory);

  // Adds the time it takes to seconds.page_faults.
  void Supply(MutableBytes memory, TransferSeconds& seconds);

  // What a stretch of huge pages took; public for tests.
  void Measure(uint64_t bytes, double seconds);

 private:
  std::atomic<bool> small_ = false;
  std::mutex mutex_;
  uint64_t bytes_ = 0;  // guarded by mutex_: of the stretch being measured
  double seconds_ = 0;  // guarded by mutex_: of the threads together
};

}  // namespace tensorbundle::engine
