#include "engine/tensor_list.h"

#include <algorithm>

namespace tensorbundle::engine {

void TensorList::Reserve(size_t count) {
  const size_t wanted = views_.size() + count;
  // Doubled at least: many small calls must not copy the list each time.
  if (wanted > views_.capacity()) views_.reserve(std::max(wanted, 2 * views_.capacity()));
}

TensorView& TensorList::Add(std::string_view outer, std::string_view name,
                            std::span<const uint64_t> shape) {
  TensorView& view = views_.emplace_back();
  std::pmr::polymorphic_allocator<> allocator(&memory_);
  const size_t name_size = outer.size() + name.size();
  char* const text = allocator.allocate_object<char>(name_size);
  std::copy(name.begin(), name.end(), std::copy(outer.begin(), outer.end(), text));
  view.name = {text, name_size};
  uint64_t* const dimensions = allocator.allocate_object<uint64_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dimensions);
  view.shape = {dimensions, shape.size()};
  return view;
}

}  // namespace tensorbundle::engine
