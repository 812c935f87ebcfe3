// The tensors of one save, in the order they were given, and the memory of their names
// and shapes.
//
// A bundle may have millions of tensors.  Names and shapes lie one after the other in
// large pieces of memory, not in two or three allocations per tensor, and the order of the
// index is found by reading that memory from front to back.
//
// Ownership: a TensorList owns names and shapes; the bytes of the tensors are borrowed, as
// in every TensorView.
//
// Threads: one thread adds; then immutable.

#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

#include "engine/tensor_view.h"
#include "format/dtype.h"

namespace tensorbundle::engine {

class TensorList {
 public:
  // Makes room for `count` tensors more, so that the list grows in one step.
  void Reserve(size_t count);

  // A new tensor without bytes, to be filled by the caller; its name is `outer` followed by
  // `name`.  Copies all three.  Valid until the next call.
  TensorView& Add(std::string_view outer, std::string_view name,
                  std::span<const uint64_t> shape);

  // Forgets all of them.
  void Clear() { views_.clear(); }

  std::span<const TensorView> views() const { return views_; }
  std::span<TensorView> views() { return views_; }

 private:
  std::pmr::monotonic_buffer_resource memory_;
  std::vector<TensorView> views_;
};

}  // namespace tensorbundle::engine
