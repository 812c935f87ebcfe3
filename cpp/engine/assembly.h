// Tensors that are stored in parts, on their way into memory.
//
// A tensor that is wanted is a ReadRequest with a destination for all of it, however it is
// stored.  An Assembly finds the parts of those that have some and gives the requests that
// fill the destinations: the tensor's own, or one per part.  A part that is one run of its
// tensor is read into place; another is spread over it, block by block, as it is read
// (engine/partition.h), so no copy of a part is ever made.
//
// Strings and variants have no place before they are decoded: parts of such a tensor arrive
// encoded, one behind the other in the order of PartsOf(), and BoxCopy tells where the
// elements belong.
//
// Threads: immutable but for Make(); any thread.
//
// Trust: the slices and the parts' entries are from disk.  Parts are tensors of their own
// that agree with the whole in dtype and shape; they cover it and share no element, so a
// shape claims no more memory than the parts have bytes.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/bundle.h"
#include "engine/partition.h"
#include "engine/reader.h"
#include "format/entry.h"

namespace tensorbundle::engine {

// A part as the index has it.
struct StoredPart {
  format::Slice slice;  // empty of a scalar, and of what is no part but a whole tensor
  format::Entry entry;
  Box place;  // in the tensor
};

// Reads the part and no more; to be given a destination.
ReadRequest RequestOf(const std::string& name, const StoredPart& part);

// The parts that hold `wanted`, with their entries.
//
// REQUIRES: entry.slices is not empty, `wanted` lies inside the shape
//
// Errors: kMissingSlice  they do not cover `wanted`, or one has no entry
//         kBadSlice      they overlap there, or an entry has another dtype or shape
//         those of FindParts() and Bundle::Find()
Result<std::vector<StoredPart>> FindStoredParts(const Bundle& bundle, const std::string& name,
                                                const format::Entry& entry, const Box& wanted,
                                                format::TableLookup& lookup);

// The entry to read a tensor by: its own or, where one part is all of it, that part's.
//
// Errors: those of Bundle::Find() and FindStoredParts()
Result<format::Entry> FindToRead(const Bundle& bundle, const std::string& name,
                                 format::TableLookup& lookup);

class Assembly {
 public:
  // Gives the partitioned among `tensors` their entry.size: bytes of a destination.
  //
  // Errors: those of FindStoredParts()
  static Result<Assembly> Make(const Bundle& bundle, std::span<ReadRequest> tensors);

  // What fills the destinations of `tensors`, or where there are none checks them.
  //
  // REQUIRES: the tensors of Make(), which live until everything has been read
  std::vector<ReadRequest> Requests(std::span<const ReadRequest> tensors) const;

  // By index into Requests(): the tensor it is for.
  const std::vector<size_t>& tensors() const { return tensors_; }

  // Empty for a tensor that is stored whole.
  std::span<const StoredPart> PartsOf(size_t tensor) const { return parts_[tensor]; }

 private:
  static void SetDestination(const ReadRequest& tensor, const StoredPart& part,
                             uint64_t string_offset, ReadRequest& request);

  std::vector<std::vector<StoredPart>> parts_;  // by tensor
  std::vector<size_t> tensors_;                 // by request
};

}  // namespace tensorbundle::engine
