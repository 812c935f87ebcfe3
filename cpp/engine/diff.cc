#include "engine/diff.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "format/naming.h"
#include "format/slices.h"

namespace tensorbundle::engine {
namespace {

using format::Entry;
using format::Slice;

bool SameStored(const Entry& a, const Entry& b) {
  return a.size == b.size && a.crc32c == b.crc32c;
}

std::vector<Slice> Sorted(std::vector<Slice> slices) {
  const auto key = [](const format::Extent& e) { return std::tuple(e.start, e.length); };
  std::ranges::sort(slices, [&](const Slice& a, const Slice& b) {
    return std::ranges::lexicographical_compare(a, b, {}, key, key);
  });
  return slices;
}

// One tensor that both bundles have.
class Comparison {
 public:
  Comparison(const Bundle& first, const Bundle& second)
      : first_(first),
        second_(second),
        same_order_(first.byte_order() == second.byte_order()),
        first_parts_(first.MakeLookup()),
        second_parts_(second.MakeLookup()) {}

  Result<Difference> Compare(std::string_view name, const Entry& a, const Entry& b) {
    if (a.dtype != b.dtype || a.shape != b.shape) return Difference::kChanged;
    // The words of one byte order have another checksum in the other.
    if (!same_order_ && (first_.IsForeign(a) || second_.IsForeign(b) || IsEncoded(a))) {
      return Difference::kUntold;
    }
    if (a.slices.empty() && b.slices.empty()) {
      return SameStored(a, b) ? Difference::kSame : Difference::kDiffers;
    }
    return CompareParts(name, a, b);
  }

 private:
  static bool IsEncoded(const Entry& entry) { return format::ElementSize(entry.dtype) == 0; }

  Result<Difference> CompareParts(std::string_view name, const Entry& a, const Entry& b) {
    const std::vector<Slice> slices = Sorted(a.slices);
    if (slices != Sorted(b.slices)) return Difference::kUntold;
    Difference difference = Difference::kSame;
    for (const Slice& slice : slices) {
      TB_ASSIGN_OR_RETURN(const Entry part, FindPart(first_, name, slice, first_parts_));
      TB_ASSIGN_OR_RETURN(const Entry other, FindPart(second_, name, slice, second_parts_));
      if (!SameStored(part, other)) difference = Difference::kDiffers;
    }
    return difference;
  }

  static Result<Entry> FindPart(const Bundle& bundle, std::string_view name,
                                const Slice& slice, format::TableLookup& lookup) {
    const std::string key = format::EncodeSliceKey(name, slice);
    auto part = [&]() -> Result<Entry> {
      TB_ASSIGN_OR_RETURN(const std::optional<Bytes> value, lookup.Find(key));
      if (value.has_value()) return bundle.Decode(key, *value);
      return Status(Code::kMissingSlice, "the index has no entry for a part");
    }();
    if (part.ok()) return part;
    return std::move(part)
        .status()
        .WithKey(std::string(name))
        .WithPath(format::IndexPath(bundle.prefix()));
  }

  const Bundle& first_;
  const Bundle& second_;
  const bool same_order_;
  format::TableLookup first_parts_;
  format::TableLookup second_parts_;
};

// Visits every tensor of `bundle` with its entry in `other`, or without one.
template <typename Visit>
Status ForEachWith(const Bundle& bundle, const Bundle& other, const Visit& visit) {
  format::TableLookup lookup = other.MakeLookup();
  return bundle.ForEach([&](std::string_view name, Result<Entry> entry) -> Status {
    if (!entry.ok()) return std::move(entry).status();
    auto found = other.Find(name, lookup);
    if (found.ok()) return visit(name, std::move(*entry), &*found);
    if (found.status().code() != Code::kNotFound) return std::move(found).status();
    return visit(name, std::move(*entry), nullptr);
  });
}

}  // namespace

Result<std::vector<TensorDifference>> Diff(const Bundle& first, const Bundle& second) {
  std::vector<TensorDifference> differences;
  Comparison comparison(first, second);
  TB_RETURN_IF_ERROR(ForEachWith(
      first, second, [&](std::string_view name, Entry entry, Entry* other) -> Status {
        TensorDifference& found = differences.emplace_back();
        found.name = name;
        found.difference = Difference::kRemoved;
        if (other != nullptr) {
          TB_ASSIGN_OR_RETURN(found.difference, comparison.Compare(name, entry, *other));
          found.second = std::move(*other);
        }
        found.first = std::move(entry);
        return Status();
      }));
  const size_t num_of_first = differences.size();
  TB_RETURN_IF_ERROR(
      ForEachWith(second, first, [&](std::string_view name, Entry entry, const Entry* other) {
        if (other != nullptr) return Status();
        differences.push_back({std::string(name), Difference::kAdded, {}, std::move(entry)});
        return Status();
      }));
  std::ranges::inplace_merge(differences,
                             differences.begin() + static_cast<ptrdiff_t>(num_of_first), {},
                             &TensorDifference::name);
  return differences;
}

}  // namespace tensorbundle::engine
