// A tensor to be saved: its name, type and shape, and where its bytes are.
//
// Ownership: a TensorView borrows the caller's memory for the length of the save,
// during which it must not change, and its name and shape (engine/tensor_list.h).  A
// StagedSource is owned by its view and in turn borrows the memory it gathers from.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "checksum/crc32c.h"
#include "format/dtype.h"
#include "format/entry.h"

namespace tensorbundle::engine {

// Bytes of a tensor that do not lie in memory as they will in the file: strided,
// in the other byte order, strings, or on another device.  They are produced piece by
// piece.
//
// Threads: immutable; Read() may be called by any number of threads at once.
class StagedSource {
 public:
  virtual ~StagedSource() = default;

  // The tensor's bytes in the file, from `offset` on.  Ranges are asked for in order,
  // but for each thread's own.
  //
  // Errors: what keeps the bytes away; none where they come from memory
  // REQUIRES: offset + out.size() <= the tensor's size
  virtual Status Read(uint64_t offset, MutableBytes out) const = 0;

  // Bytes to ask for at once, at most.  By default so few that the checksum finds them in
  // cache.
  virtual uint64_t block_size() const { return 256u << 10; }
};

struct TensorView {
  std::string_view name;
  std::span<const uint64_t> shape;
  format::DType dtype = format::DType::kFloat32;
  uint64_t size = 0;  // bytes in the file

  // Exactly one of these has the bytes, where size is not 0.
  Bytes contiguous;
  std::unique_ptr<const StagedSource> staged;

  // The name is the key of a partitioned tensor's part (format/slices.h).
  bool is_part = false;

  // The memory is wanted back as soon as it is written (engine/snapshot.h).
  bool borrowed = false;

  // The entry's checksum where it is not that of the bytes: strings and variants.
  std::optional<checksum::Crc32c> crc;
};

// The tensor's name for messages: of a part, the partitioned tensor's.
std::string NameOf(const TensorView& tensor);

// A tensor that is saved in parts, each of them a TensorView.
struct PartitionedTensor {
  std::string name;
  format::Entry entry;  // dtype, whole shape and slices: what engine/partition.h accepts
};

// What a strided view of memory needs; see NumPy's __array_interface__.
struct StridedLayout {
  const std::byte* data = nullptr;  // the first element
  format::Shape shape;
  std::vector<int64_t> strides;  // bytes, one per dimension; may be negative
  uint32_t element_size = 0;     // bytes
  uint32_t swap_size = 1;        // reverse each run of that many bytes; 1: leave them
  uint32_t component_size = 0;   // bytes of a float, or of either part of a complex
  // What is still to be negated: a conjugated or negated view that was never evaluated.
  bool negate_all = false;
  bool negate_imaginary = false;  // of complex elements; with negate_all: only the real
};

// The elements in C order.
std::unique_ptr<const StagedSource> MakeStridedSource(StridedLayout layout);

// A string tensor: `view` gets its size, checksum and source.  The strings are
// borrowed like any tensor's memory.
//
// Errors: kLimitExceeded
Status SetStrings(std::vector<Bytes> elements, TensorView& view);

// A variant tensor, of serialized elements, which are copied.
void SetVariants(std::span<const Bytes> elements, TensorView& view);

}  // namespace tensorbundle::engine
