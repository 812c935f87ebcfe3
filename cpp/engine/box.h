// A box: the elements of a tensor that a run in each dimension has in common.
//
// Threads: values; any thread.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "format/entry.h"

namespace tensorbundle::engine {

// Per dimension the first element, and how many.
struct Box {
  format::Shape begin;
  format::Shape size;
  friend bool operator==(const Box&, const Box&) = default;
};

Box WholeBox(const format::Shape& shape);

// REQUIRES: the box lies inside a shape that format::NumElements() has accepted
uint64_t Volume(const Box& box);

// Behind the last element of a dimension.  Of one of size 0 everybody has all: such boxes
// lie in the same place, and count as one long.
uint64_t EndOf(const Box& box, size_t dimension);

// REQUIRES: of the same rank
bool Overlap(const Box& a, const Box& b);

// Absent where the boxes share no element.
std::optional<Box> Intersection(const Box& a, const Box& b);

}  // namespace tensorbundle::engine
