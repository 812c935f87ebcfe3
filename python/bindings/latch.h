// An event that a thread without the GIL tells and a Python thread waits for.

#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace tensorbundle::bindings {

class Latch {
 public:
  void Open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }

  // Whether it is open, by then at the latest.  GIL: not needed
  bool WaitFor(double seconds) {
    std::unique_lock<std::mutex> lock(mutex_);
    return opened_.wait_for(lock, std::chrono::duration<double>(seconds),
                            [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;  // guarded by mutex_
};

}  // namespace tensorbundle::bindings
