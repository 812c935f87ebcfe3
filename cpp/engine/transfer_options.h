// How much one thread of a save or load moves at a time.

#pragma once

#include <cstdint>

#include "io/storage.h"

namespace tensorbundle::engine {

struct TransferOptions {
  uint64_t block_size = 0;   // bytes per transfer; 0: by the kind of transfer
  uint32_t queue_depth = 0;  // transfers in flight per thread; 0: the queue's default

  // `direct`: past the page cache, where a queue keeps several blocks in flight.
  uint64_t BlockSize(bool direct) const {
    // Buffered, a block is checksummed while it is in the second-level cache.
    constexpr uint64_t kBufferedBlock = 256u << 10;  // bytes
    if (block_size != 0) return block_size;
    return direct ? io::QueueOptions().block_size : kBufferedBlock;
  }

  io::QueueOptions Queue(bool direct) const {
    io::QueueOptions queue;
    queue.block_size = BlockSize(direct);
    if (queue_depth != 0) queue.depth = queue_depth;
    return queue;
  }
};

}  // namespace tensorbundle::engine
