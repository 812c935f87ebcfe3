// Copies of tensors, so that the caller's memory may change while they are being saved.
//
// The copies lie in an arena of the caller's, which bounds them.  A tensor that does not
// fit stays where it is, marked as borrowed: Save() writes those first and tells when it
// is done with them (SaveOptions::on_borrowed_written).
//
// Threads: a TakeSnapshot() is called on one thread and starts its own.

#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/observer.h"
#include "engine/tensor_view.h"

namespace tensorbundle::engine {

struct SnapshotOptions {
  size_t num_threads = 0;        // 0: one per processor
  Observer* observer = nullptr;  // may be null
};

struct SnapshotReport {
  uint64_t copied_bytes = 0;
  uint64_t borrowed_bytes = 0;  // of tensors that did not fit
  double seconds = 0;
};

// Bytes of an arena that all the tensors fit into.
uint64_t SnapshotSize(std::span<const TensorView> tensors);

// Strings are left alone: their elements are Python's, which do not change.
//
// Errors: kCancelled  the observer said stop; the views are as they were
Result<SnapshotReport> TakeSnapshot(std::span<TensorView> tensors, MutableBytes arena,
                                    const SnapshotOptions& options);

}  // namespace tensorbundle::engine
