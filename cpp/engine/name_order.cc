#include "engine/name_order.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>

#include "format/block.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

Status CheckName(std::string_view name) {
  if (name.empty()) return Status(Code::kInvalidArgument, "a tensor's name is empty");
  if (name.size() > format::kMaxKeySize) {
    return Status(Code::kInvalidArgument,
                  "the name has more than " + std::to_string(format::kMaxKeySize) + " bytes")
        .WithKey(std::string(name));
  }
  // Such a key begins with a zero byte (format/slices.h).
  if (name.front() == '\0' && format::DecodeSliceKey(name).has_value()) {
    return Status(Code::kInvalidArgument, "the name is the key of a partitioned tensor's part")
        .WithKey(std::string(name));
  }
  return Status();
}

// The bytes that all names begin with, which need not be compared again and again.
size_t CommonPrefix(std::span<const TensorView> tensors) {
  std::string_view common = tensors.front().name;
  for (const TensorView& tensor : tensors) {
    const std::string_view name = tensor.name.substr(0, common.size());
    const auto end = std::mismatch(name.begin(), name.end(), common.begin()).first;
    common = common.substr(0, static_cast<size_t>(end - name.begin()));
  }
  return common.size();
}

// What is sorted: a few bytes of a name at hand, so that most comparisons need not look
// for the name itself.
struct Key {
  uint64_t head = 0;  // the next 8 bytes, the first highest, zeros where there are fewer
  std::string_view tail;
  uint32_t index = 0;

  friend bool operator<(const Key& a, const Key& b) {
    return a.head != b.head ? a.head < b.head : a.tail < b.tail;
  }
};

uint64_t HeadOf(std::string_view text) {
  uint64_t head = 0;
  for (size_t i = 0; i < sizeof(head); ++i) {
    head = head << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0U);
  }
  return head;
}

void SortByName(std::span<const TensorView> tensors, std::vector<uint32_t>& order) {
  const size_t common = CommonPrefix(tensors);
  std::vector<Key> keys(tensors.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    // All of the rest is the tail: a name may itself have zeros where another ends.
    const std::string_view rest = tensors[i].name.substr(common);
    keys[i] = {HeadOf(rest), rest, i};
  }
  std::sort(keys.begin(), keys.end());
  for (size_t i = 0; i < keys.size(); ++i) order[i] = keys[i].index;
}

}  // namespace

Result<std::vector<uint32_t>> OrderByName(std::span<const TensorView> tensors) {
  if (tensors.size() > UINT32_MAX) {
    return Status(Code::kLimitExceeded, "more than 2^32 - 1 tensors");
  }
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto by_name = [](const TensorView& a, const TensorView& b) {
    return a.name < b.name;
  };
  if (!std::is_sorted(tensors.begin(), tensors.end(), by_name)) SortByName(tensors, order);
  for (size_t i = 0; i < order.size(); ++i) {
    const std::string_view name = tensors[order[i]].name;
    TB_RETURN_IF_ERROR(CheckName(name));
    if (i > 0 && name == tensors[order[i - 1]].name) {
      return Status(Code::kAlreadyExists, "the name is given twice")
          .WithKey(std::string(name));
    }
  }
  return order;
}

}  // namespace tensorbundle::engine
