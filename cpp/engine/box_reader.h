// Reads a box of a tensor, and no more of its files than that takes.
//
// The box comes from whatever the tensor is stored in: one run of bytes, or parts, of which
// only those that share elements with the box are looked at.  A part that is wholly inside
// the box is read and verified like a tensor.  Of another only the runs that are wanted are
// read, neighbours together where the gap between them is cheaper read than skipped; no
// checksum is of those bytes alone, so they cannot be verified.
//
// Of strings and variants nobody knows where one is before all lengths have been read: their
// parts are read whole, and are verified when they are decoded.
//
// Ownership: a BoxReader borrows its bundle.
//
// Threads: one thread, which starts its own.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/assembly.h"
#include "engine/box_copy.h"
#include "engine/bundle.h"
#include "engine/partition.h"
#include "engine/reader.h"
#include "format/entry.h"

namespace tensorbundle::engine {

constexpr uint64_t kBoxWindow = 1u << 20;  // bytes of a part that one job looks at

class BoxReader {
 public:
  // Finds the parts and checks their places; nothing is read but the index.
  //
  // REQUIRES: `wanted` lies inside the shape of `entry`
  //
  // Errors: those of FindStoredParts() and CheckRequests()
  static Result<BoxReader> Make(const Bundle& bundle, std::string name, format::Entry entry,
                                Box wanted);

  // Bytes of the destination: of the box; of strings and variants, of all parts that have some
  // of it.
  uint64_t size() const { return size_; }

  // Fills `out` with the elements in C order, or, of those, with the encoded parts, one
  // behind the other.
  //
  // REQUIRES: out.size() is size()
  //
  // Errors: kDataChecksumMismatch, kCancelled, kSystem, those of CheckRequests()
  Status Read(MutableBytes out, const ReadOptions& options) const;

  format::DType dtype() const { return dtype_; }
  const Box& wanted() const { return wanted_; }
  const std::vector<StoredPart>& parts() const { return parts_; }

 private:
  // Runs of a part that is wanted in part, among `kBoxWindow` bytes of it.
  struct Window {
    size_t part = 0;
    uint64_t begin = 0;  // bytes from the start of the part
    uint64_t end = 0;
  };

  BoxReader(const Bundle& bundle, std::string name, Box wanted)
      : bundle_(&bundle), name_(std::move(name)), wanted_(std::move(wanted)) {}

  void AddWindows(size_t part, const BoxCopy& copy, std::vector<Window>& windows) const;
  Status ReadWindows(const std::vector<Window>& windows, MutableBytes out,
                     const ReadOptions& options) const;
  Status ReadWindow(const Window& window, const io::ReadableFile& file, MutableBytes scratch,
                    MutableBytes out) const;

  const Bundle* bundle_;
  std::string name_;
  Box wanted_;
  std::vector<StoredPart> parts_;
  format::DType dtype_ = format::DType::kFloat32;
  uint64_t element_size_ = 0;  // bytes; 0 of strings and variants
  uint64_t size_ = 0;
};

}  // namespace tensorbundle::engine
