// How a caller watches a long operation, and stops it.
//
// The engine calls Poll() on the thread that called the engine, every few tens of
// milliseconds, never from a worker: the bindings may take the GIL in it.

#pragma once

#include <cstdint>

namespace tensorbundle::engine {

class Observer {
 public:
  virtual ~Observer() = default;

  // `done` of `total` bytes are finished.  False stops the operation, which then
  // returns kCancelled and leaves nothing behind.
  virtual bool Poll(uint64_t done, uint64_t total) = 0;
};

}  // namespace tensorbundle::engine
