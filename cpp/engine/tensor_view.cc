#include "engine/tensor_view.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "format/slices.h"
#include "format/string_tensor.h"
#include "format/variant_tensor.h"

namespace tensorbundle::engine {
namespace {

// Joins neighbouring dimensions that are one run of memory, so that the inner loop
// is as long as it can be.  The last dimension stays the fastest.
void CollapseDimensions(StridedLayout& layout) {
  format::Shape shape;
  std::vector<int64_t> strides;
  for (size_t d = 0; d < layout.shape.size(); ++d) {
    if (layout.shape[d] == 1) continue;
    const auto extent = static_cast<int64_t>(layout.shape[d]);
    if (!shape.empty() && strides.back() == layout.strides[d] * extent) {
      shape.back() *= layout.shape[d];
      strides.back() = layout.strides[d];
    } else {
      shape.push_back(layout.shape[d]);
      strides.push_back(layout.strides[d]);
    }
  }
  layout.shape = std::move(shape);
  layout.strides = std::move(strides);
}

class StridedSource final : public StagedSource {
 public:
  explicit StridedSource(StridedLayout layout) : layout_(std::move(layout)) {
    CollapseDimensions(layout_);
  }

  Status Read(uint64_t offset, MutableBytes out) const override {
    const uint64_t item = layout_.element_size;
    uint64_t element = offset / item;
    // A piece may begin and end inside an element where tensors are packed densely.
    if (const uint64_t inside = offset % item; inside != 0) {
      out = ReadPartOfElement(element++, inside, out);
    }
    const uint64_t whole = out.size() / item;
    ReadElements(element, out.first(whole * item));
    out = out.subspan(whole * item);
    if (!out.empty()) ReadPartOfElement(element + whole, 0, out);
    return Status();
  }

 private:
  // Returns what is left of `out`.
  MutableBytes ReadPartOfElement(uint64_t element, uint64_t inside, MutableBytes out) const {
    std::byte buffer[16];  // the largest element is complex128
    const MutableBytes whole(buffer, layout_.element_size);
    ReadElements(element, whole);
    const size_t size = std::min<size_t>(out.size(), layout_.element_size - inside);
    std::copy_n(whole.begin() + static_cast<ptrdiff_t>(inside), size, out.begin());
    return out.subspan(size);
  }

  void ReadElements(uint64_t first, MutableBytes out) const {
    const uint64_t item = layout_.element_size;
    while (!out.empty()) {
      uint64_t run = 0;
      const std::byte* source = Locate(first, run);
      const uint64_t count = std::min(run, out.size() / item);
      CopyRun(source, count, out.data());
      first += count;
      out = out.subspan(count * item);
    }
  }

  // Where element `index` lies; `run` gets how many follow in the last dimension,
  // itself included.
  const std::byte* Locate(uint64_t index, uint64_t& run) const {
    int64_t position = 0;
    run = 1;
    for (size_t d = layout_.shape.size(); d-- > 0;) {
      const uint64_t coordinate = index % layout_.shape[d];
      index /= layout_.shape[d];
      position += static_cast<int64_t>(coordinate) * layout_.strides[d];
      if (d + 1 == layout_.shape.size()) run = layout_.shape[d] - coordinate;
    }
    return layout_.data + position;
  }

  void CopyRun(const std::byte* source, uint64_t count, std::byte* out) const {
    const size_t item = layout_.element_size;
    const int64_t stride = layout_.strides.empty() ? 0 : layout_.strides.back();
    if (stride == static_cast<int64_t>(item)) {
      std::memcpy(out, source, count * item);
    } else {
      CopyStrided(source, stride, count, out);
    }
    ReverseWords({out, count * item}, layout_.swap_size);
    if (layout_.negate_all) FlipSigns(out, count * item, 0, 1);
    if (layout_.negate_imaginary) FlipSigns(out, count * item, 1, 2);
  }

  // Negating a little-endian float is flipping the top bit of its last byte.
  void FlipSigns(std::byte* out, size_t size, size_t first, size_t step) const {
    const size_t component = layout_.component_size;
    for (size_t at = first * component; at < size; at += step * component) {
      out[at + component - 1] ^= std::byte{0x80};
    }
  }

  // A copy of constant size compiles to one load and one store.
  template <size_t kItem>
  static void CopyItems(const std::byte* source, int64_t stride, uint64_t count,
                        std::byte* out) {
    for (uint64_t i = 0; i < count; ++i, source += stride, out += kItem) {
      std::memcpy(out, source, kItem);
    }
  }

  void CopyStrided(const std::byte* source, int64_t stride, uint64_t count,
                   std::byte* out) const {
    switch (layout_.element_size) {
      case 1: return CopyItems<1>(source, stride, count, out);
      case 2: return CopyItems<2>(source, stride, count, out);
      case 4: return CopyItems<4>(source, stride, count, out);
      case 8: return CopyItems<8>(source, stride, count, out);
      default: return CopyItems<16>(source, stride, count, out);
    }
  }

  StridedLayout layout_;
};

class StringSource final : public StagedSource {
 public:
  StringSource(std::string head, std::vector<Bytes> elements)
      : head_(std::move(head)), elements_(std::move(elements)) {
    uint64_t end = head_.size();
    ends_.reserve(elements_.size());
    for (const Bytes element : elements_) ends_.push_back(end += element.size());
  }

  Status Read(uint64_t offset, MutableBytes out) const override {
    if (offset < head_.size()) {
      out = CopyFrom(AsBytes(head_).subspan(offset), out);
      offset = head_.size();
    }
    auto next = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), offset) -
                                    ends_.begin());
    for (; !out.empty(); ++next) {
      const uint64_t begin = ends_[next] - elements_[next].size();
      out = CopyFrom(elements_[next].subspan(offset - begin), out);
      offset = ends_[next];
    }
    return Status();
  }

 private:
  // Copies as much as fits; returns what is left of `out`.
  static MutableBytes CopyFrom(Bytes source, MutableBytes out) {
    const size_t size = std::min(source.size(), out.size());
    std::copy_n(source.begin(), size, out.begin());
    return out.subspan(size);
  }

  const std::string head_;
  const std::vector<Bytes> elements_;
  std::vector<uint64_t> ends_;  // where each string ends, from the tensor's start
};

}  // namespace

std::string NameOf(const TensorView& tensor) {
  if (tensor.is_part) {
    if (auto key = format::DecodeSliceKey(tensor.name)) return std::move(key->name);
  }
  return std::string(tensor.name);
}

std::unique_ptr<const StagedSource> MakeStridedSource(StridedLayout layout) {
  return std::make_unique<StridedSource>(std::move(layout));
}

Status SetStrings(std::vector<Bytes> elements, TensorView& view) {
  TB_ASSIGN_OR_RETURN(format::StringLayout layout, format::LayOutStrings(elements));
  view.dtype = format::DType::kString;
  view.size = layout.size;
  view.crc = layout.crc;
  view.staged = std::make_unique<StringSource>(std::move(layout.head), std::move(elements));
  return Status();
}

void SetVariants(std::span<const Bytes> elements, TensorView& view) {
  format::VariantBytes tensor = format::EncodeVariants(elements);
  view.dtype = format::DType::kVariant;
  view.size = tensor.stored.size();
  view.crc = tensor.crc;
  if (tensor.stored.empty()) return;
  view.staged = std::make_unique<StringSource>(std::move(tensor.stored), std::vector<Bytes>());
}

}  // namespace tensorbundle::engine
