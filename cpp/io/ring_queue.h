// A TransferQueue on a ring: several transfers in flight for one thread.
//
// A transfer is cut into blocks; each is a request of its own, started again for the
// rest where it came back short.  The first failure stops everything that has not been
// started; what is in flight is still waited for.
//
// A file without a descriptor (io/file.h) is read and written at once, by its own call.
//
// Threads: one, from the first Submit...() to the destructor.
//
// Not covered: a ring that breaks while transfers are in flight (its descriptor closed
// by a stranger).  The queue reports it and gives up; the device may still use the memory.

#pragma once

#include <cstdint>
#include <memory>

#include "io/backend.h"
#include "io/ring.h"
#include "io/transfer_queue.h"

namespace tensorbundle::io {

// REQUIRES: the ring was made for options.depth
std::unique_ptr<TransferQueue> MakeRingQueue(std::unique_ptr<Ring> ring,
                                             const QueueOptions& options);

// On a ring from `make_ring`; where none is granted, a synchronous queue that says why.
std::unique_ptr<TransferQueue> MakeRingQueue(const RingFactory& make_ring,
                                             const QueueOptions& options);

// Whether `make_ring` makes one, and what it said if not.
UringSupport ProbeRing(const RingFactory& make_ring);

}  // namespace tensorbundle::io
