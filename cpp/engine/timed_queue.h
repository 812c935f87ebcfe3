// A transfer queue that tells how long its calls took.
//
// Threads: one, as the queue's.

#pragma once

#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/stages.h"
#include "io/file.h"
#include "io/transfer_queue.h"

namespace tensorbundle::engine {

class TimedQueue {
 public:
  using Ticket = io::TransferQueue::Ticket;

  // `seconds` outlives this object.
  TimedQueue(std::unique_ptr<io::TransferQueue> queue, TransferSeconds& seconds)
      : queue_(std::move(queue)), seconds_(seconds) {}

  Result<Ticket> SubmitWrite(io::WritableFile& file, uint64_t offset, Bytes bytes) {
    const StageTimer timer(StageOf(file.granule()));
    return queue_->SubmitWrite(file, offset, bytes);
  }

  Result<Ticket> SubmitRead(const io::ReadableFile& file, uint64_t offset, MutableBytes out) {
    const StageTimer timer(StageOf(file.granule()));
    return queue_->SubmitRead(file, offset, out);
  }

  Status Wait(Ticket ticket) {
    const StageTimer timer(seconds_.wait);
    return queue_->Wait(ticket);
  }

  Status WaitAll() {
    const StageTimer timer(seconds_.wait);
    return queue_->WaitAll();
  }

  const io::TransferQueue& queue() const { return *queue_; }

 private:
  // Where nothing is in flight, a call past the page cache is a wait for the device.
  double& StageOf(const io::Granule& granule) {
    return queue_->is_synchronous() && granule.offset > 1 ? seconds_.wait : seconds_.submit;
  }

  const std::unique_ptr<io::TransferQueue> queue_;
  TransferSeconds& seconds_;
};

}  // namespace tensorbundle::engine
