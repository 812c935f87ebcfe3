#include "engine/name_order.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>

#include "format/block.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

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

Status CheckName(std::string_view name, bool is_part) {
  if (name.empty()) return Status(Code::kInvalidArgument, "a tensor's name is empty");
  if (name.size() > format::kMaxKeySize) {
    return Status(Code::kInvalidArgument,
                  "the name has more than " + std::to_string(format::kMaxKeySize) + " bytes")
        .WithKey(std::string(name));
  }
  // Such a key begins with a zero byte (format/slices.h).
  if (!is_part && name.front() == '\0' && format::DecodeSliceKey(name).has_value()) {
    return Status(Code::kInvalidArgument, "the name is the key of a partitioned tensor's part")
        .WithKey(std::string(name));
  }
  return Status();
}

Result<std::vector<uint32_t>> OrderByName(std::span<const TensorView> tensors,
                                          std::span<const PartitionedTensor> in_parts) {
  if (tensors.size() > UINT32_MAX - in_parts.size()) {
    return Status(Code::kLimitExceeded, "more than 2^32 - 1 tensors");
  }
  const auto num_whole = static_cast<uint32_t>(tensors.size());
  const auto name_of = [&](uint32_t i) {
    return i < num_whole ? tensors[i].name : std::string_view(in_parts[i - num_whole].name);
  };
  const auto by_name = [&](uint32_t a, uint32_t b) { return name_of(a) < name_of(b); };
  std::vector<uint32_t> order(tensors.size() + in_parts.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto middle = order.begin() + num_whole;
  if (!std::is_sorted(order.begin(), middle, by_name)) SortByName(tensors, order);
  std::sort(middle, order.end(), by_name);
  std::inplace_merge(order.begin(), middle, order.end(), by_name);
  for (size_t i = 0; i < order.size(); ++i) {
    const std::string_view name = name_of(order[i]);
    TB_RETURN_IF_ERROR(CheckName(name, order[i] < num_whole && tensors[order[i]].is_part));
    if (i > 0 && name == name_of(order[i - 1])) {
      return Status(Code::kAlreadyExists, "the name is given twice")
          .WithKey(order[i] < num_whole ? NameOf(tensors[order[i]]) : std::string(name));
    }
  }
  return order;
}

}  // namespace tensorbundle::engine
