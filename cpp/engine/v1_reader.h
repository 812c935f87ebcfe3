// Reads the tensors of a V1 checkpoint: numbers are decoded, several slices at a time.
//
// There is nothing to map or to read past the page cache: the numbers of most dtypes are not
// stored as they lie in memory.  Every block is checked when it is first looked into.
//
// Threads: each function is called on one thread and may start its own.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/reader.h"
#include "engine/v1_checkpoint.h"

namespace tensorbundle::engine {

using V1Pieces = std::vector<V1Checkpoint::Piece>;

// Dtype, shape and size in memory are in the request's entry, without offset and checksum, of
// which a V1 checkpoint has none.  Strings have size 0.
//
// Errors: those of V1Checkpoint::Find()
Result<ReadRequest> MakeV1Request(const V1Checkpoint& checkpoint, std::string name);

// Errors: those of V1Checkpoint::Locate()
Result<std::vector<V1Pieces>> LocateAll(const V1Checkpoint& checkpoint,
                                        std::span<const ReadRequest> requests);

// Fills every destination that is not of strings.  Of the options only the number of threads
// and the observer matter.
//
// REQUIRES: pieces[i] was located for requests[i], whose destination has entry.size bytes
//
// Errors: kBadEntry, kCancelled
Result<ReadReport> ReadV1Tensors(const V1Checkpoint& checkpoint,
                                 std::span<const ReadRequest> requests,
                                 std::span<const V1Pieces> pieces, const ReadOptions& options);

// The elements of a string tensor, in C order.
std::vector<Bytes> V1Strings(const format::Shape& shape, const V1Pieces& pieces);

// Locates and decodes every tensor, whatever is wrong with others.
//
// Errors: kCancelled
Result<ReadReport> VerifyV1Tensors(const V1Checkpoint& checkpoint,
                                   std::span<const ReadRequest> requests,
                                   const ReadOptions& options, std::vector<Fault>& faults);

}  // namespace tensorbundle::engine
