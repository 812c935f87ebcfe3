// The copy of the elements that two boxes share from the memory of one, the source, to that
// of the other, the target.  Both are in C order, and hold nothing but their box.
//
// The shared elements are runs of memory, all of one size, in both.
//
// Threads: values; any thread.

#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "engine/box.h"

namespace tensorbundle::engine {

class BoxCopy {
 public:
  // REQUIRES: both boxes lie inside one shape, and share elements
  BoxCopy(const Box& source, const Box& target, uint64_t element_size);

  uint64_t num_runs() const { return num_runs_; }
  uint64_t run_size() const { return run_size_; }        // bytes
  uint64_t source_size() const { return source_.size; }  // bytes, of the whole box

  // Where a run begins: bytes from the start of either memory.  They ascend with the run.
  uint64_t SourceOffset(uint64_t run) const { return Locate(source_, run); }
  uint64_t TargetOffset(uint64_t run) const { return Locate(target_, run); }

  // The first run of the source that ends behind `offset`; num_runs() where none does.
  uint64_t FirstRunAfter(uint64_t offset) const;

  // Copies the shared elements among `bytes`, which the source has from `offset` on: any
  // piece of it, that may begin and end inside of an element.
  //
  // REQUIRES: `target` is the memory of the whole target box
  void Place(uint64_t offset, Bytes bytes, MutableBytes target) const;

 private:
  // One of the two memories.
  struct Side {
    uint64_t size = 0;              // bytes
    uint64_t first = 0;             // bytes to the first run
    std::vector<uint64_t> strides;  // bytes, per outer dimension
  };

  Side SideOf(const Box& box, const Box& common, uint64_t element_size) const;
  uint64_t Locate(const Side& side, uint64_t run) const;

  std::vector<uint64_t> counts_;  // of runs, per outer dimension
  uint64_t num_runs_ = 1;
  uint64_t run_size_ = 0;
  Side source_;
  Side target_;
};

}  // namespace tensorbundle::engine
