// Where the time of a transfer goes, by stage.
//
// Threads: one TransferSeconds per thread, added up at the end.

#pragma once

#include <chrono>

namespace tensorbundle::engine {

using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Added over the threads, so that together they may be more than the time that passed.
struct TransferSeconds {
  double page_faults = 0;  // the system gives fresh memory its pages
  double copy = 0;         // to or from a buffer, the checksum taken in the same pass
  double checksum = 0;     // of bytes that need no copy
  double submit = 0;       // in calls that start transfers; buffered: that make them
  double wait = 0;         // for the device
  double sync = 0;         // reserving space, and until data is durable

  TransferSeconds& operator+=(const TransferSeconds& other) {
    page_faults += other.page_faults;
    copy += other.copy;
    checksum += other.checksum;
    submit += other.submit;
    wait += other.wait;
    sync += other.sync;
    return *this;
  }
};

// Adds the time it lives to a stage.
class StageTimer {
 public:
  explicit StageTimer(double& stage) : stage_(stage), start_(Clock::now()) {}
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;
  ~StageTimer() { stage_ += SecondsSince(start_); }

 private:
  double& stage_;
  const Clock::time_point start_;
};

}  // namespace tensorbundle::engine
