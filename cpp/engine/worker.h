// What one thread of a transfer owns: its queue, and the time it spent.

#pragma once

#include <memory>
#include <span>
#include <string>

#include "engine/stages.h"
#include "engine/timed_queue.h"
#include "io/storage.h"
#include "io/transfer_queue.h"

namespace tensorbundle::engine {

struct Worker {
  TransferSeconds seconds;
  std::unique_ptr<TimedQueue> queue;  // made by the thread that uses it, when first needed

  TimedQueue& GetQueue(io::Storage& storage, const io::QueueOptions& options) {
    if (queue == nullptr) {
      queue = std::make_unique<TimedQueue>(storage.MakeQueue(options), seconds);
    }
    return *queue;
  }
};

inline TransferSeconds TotalSeconds(std::span<const Worker> workers) {
  TransferSeconds total;
  for (const Worker& worker : workers) total += worker.seconds;
  return total;
}

// Why a thread had to do with a synchronous queue; empty where none had to.
inline std::string SynchronousReason(std::span<const Worker> workers) {
  for (const Worker& worker : workers) {
    if (worker.queue == nullptr) continue;
    std::string reason = worker.queue->queue().synchronous_reason();
    if (!reason.empty()) return reason;
  }
  return "";
}

}  // namespace tensorbundle::engine
