// Transfers in flight on behalf of one thread.
//
// A thread that waits for each transfer leaves the device idle while it computes.  A
// queue starts a transfer and comes back, so that the thread checksums the next block
// while the device works on the last ones.
//
// Ownership: the queue borrows files and memory from Submit...() until the transfer's
// ticket has been waited for.  Its destructor waits for what is in flight, so that no
// memory is written to, or read, behind its owner's back.
//
// Threads: one thread.  Several queues may work on one file, on disjoint ranges.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/status.h"
#include "io/storage.h"

namespace tensorbundle::io {

class TransferQueue {
 public:
  // Tickets ascend by one from 1 in the order of submission.
  using Ticket = uint64_t;

  virtual ~TransferQueue() = default;

  // Starts to write all of `bytes` at `offset`.  Blocks while the queue is full.
  //
  // Errors: of this or any earlier transfer; then nothing was started
  virtual Result<Ticket> SubmitWrite(WritableFile& file, uint64_t offset, Bytes bytes) = 0;

  // Starts to fill `out` from `offset`.
  //
  // Errors: as above; those of ReadableFile::ReadAt(), some only when waited for
  virtual Result<Ticket> SubmitRead(const ReadableFile& file, uint64_t offset,
                                    MutableBytes out) = 0;

  // Returns when that transfer, and maybe others, is done.  The first failure of any
  // transfer is returned by every call from then on.
  virtual Status Wait(Ticket ticket) = 0;

  // Returns when nothing is in flight.
  virtual Status WaitAll() = 0;

  // Whether Submit...() does the whole transfer before it returns, and, where better was
  // wanted, why.
  virtual bool is_synchronous() const { return false; }
  virtual std::string synchronous_reason() const { return ""; }
};

std::unique_ptr<TransferQueue> MakeSynchronousQueue(std::string reason = "");

}  // namespace tensorbundle::io
