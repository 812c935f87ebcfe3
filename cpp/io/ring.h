// What a queue asks of io_uring: transfers that start now and end later, in any order.
//
// The seam between the logic of a queue (io/ring_queue.h), which tests drive with a ring
// of their own, and the kernel (io/kernel_ring.h).
//
// Threads: one, from the first Submit() on.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"

namespace tensorbundle::io {

struct RingRequest {
  bool is_write = false;
  int fd = -1;
  uint64_t offset = 0;
  MutableBytes memory;  // only read from where `is_write`
  uint64_t tag = 0;     // comes back with the completion
};

struct RingCompletion {
  uint64_t tag = 0;
  int64_t answer = 0;  // bytes moved, or -errno
};

class Ring {
 public:
  virtual ~Ring() = default;

  // Starts a transfer.
  //
  // REQUIRES: fewer in flight than the ring was made for; no earlier call failed
  //
  // Errors: kSystem  nothing was started
  virtual Status Submit(const RingRequest& request) = 0;

  // The next transfer that has ended.
  //
  // REQUIRES: one is in flight
  //
  // Errors: kSystem  the ring is broken; what becomes of the transfers is unknown
  virtual Result<RingCompletion> Wait() = 0;
};

// Makes a ring for at most `depth` transfers in flight.
using RingFactory = std::function<Result<std::unique_ptr<Ring>>(uint32_t depth)>;

}  // namespace tensorbundle::io
