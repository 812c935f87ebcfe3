#include "bindings/listings.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/entries.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/names.h"

namespace py = pybind11;

namespace tensorbundle::bindings {
namespace {

template <typename Checkpoint>
struct EntryOf {};
template <>
struct EntryOf<engine::Bundle> {
  using Type = format::Entry;
};
template <>
struct EntryOf<engine::V1Checkpoint> {
  using Type = engine::V1Checkpoint::Tensor;
};

// Texts, one behind the other.
class Texts {
 public:
  void Add(std::string_view text) {
    bytes_ += text;
    ends_.push_back(bytes_.size());
  }

  size_t size() const { return ends_.size(); }

  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

struct Shapes {
  Texts names;
  std::vector<uint8_t> ranks;        // format::kMaxRank is less than 256
  std::vector<uint64_t> dimensions;  // of all shapes, one behind the other
};
static_assert(format::kMaxRank <= UINT8_MAX);

// Calls `visit` with each name and its entry, without the GIL.
template <typename Checkpoint, typename Visit>
void ForEachSound(const Checkpoint& checkpoint, const Visit& visit) {
  const Status status = [&] {
    const GilRelease release;  // reads the whole index
    return checkpoint.ForEach([&](std::string_view name, auto entry) {
      if (entry.ok()) visit(name, *entry);
      return std::move(entry).status();
    });
  }();
  ThrowIfError(status);
}

// Keeps the garbage collector from going through what is being made, again and again: it
// is all alive.  Nothing else runs meanwhile, as the GIL is held.
class CollectionPause {
 public:
  CollectionPause() : was_enabled_(PyGC_Disable() != 0) {}
  CollectionPause(const CollectionPause&) = delete;
  CollectionPause& operator=(const CollectionPause&) = delete;
  ~CollectionPause() {
    if (was_enabled_) PyGC_Enable();
  }

 private:
  const bool was_enabled_;
};

py::list DimensionsToPython(std::span<const uint64_t> dimensions) {
  py::list out(dimensions.size());
  for (size_t d = 0; d < dimensions.size(); ++d) out[d] = py::int_(dimensions[d]);
  return out;
}

}  // namespace

template <typename Checkpoint>
py::list ListNames(const Checkpoint& checkpoint) {
  Texts names;
  const Status status = [&] {
    const GilRelease release;  // reads the whole index
    return checkpoint.ForEachName([&](std::string_view name) {
      names.Add(name);
      return Status();
    });
  }();
  ThrowIfError(status);
  py::list out(names.size());
  for (size_t i = 0; i < names.size(); ++i) out[i] = NameToPython(names[i]);
  return out;
}

template <typename Checkpoint>
py::list ListShapes(const Checkpoint& checkpoint) {
  Shapes found;
  ForEachSound(checkpoint, [&](std::string_view name, const auto& entry) {
    found.names.Add(name);
    found.ranks.push_back(static_cast<uint8_t>(entry.shape.size()));
    found.dimensions.insert(found.dimensions.end(), entry.shape.begin(), entry.shape.end());
  });
  const CollectionPause pause;
  py::list out(found.names.size());
  std::span<const uint64_t> dimensions = found.dimensions;
  for (size_t i = 0; i < found.names.size(); ++i) {
    out[i] = py::make_tuple(NameToPython(found.names[i]),
                            DimensionsToPython(dimensions.first(found.ranks[i])));
    dimensions = dimensions.subspan(found.ranks[i]);
  }
  return out;
}

template <typename Checkpoint>
py::list ListDTypes(const Checkpoint& checkpoint) {
  std::vector<format::DType> dtypes;
  ForEachSound(checkpoint,
               [&](std::string_view, const auto& entry) { dtypes.push_back(entry.dtype); });
  py::list out(dtypes.size());
  for (size_t i = 0; i < dtypes.size(); ++i) out[i] = py::int_(static_cast<int>(dtypes[i]));
  return out;
}

template <typename Checkpoint>
py::list ListEntries(const Checkpoint& checkpoint) {
  using Entry = typename EntryOf<Checkpoint>::Type;
  std::vector<std::pair<std::string, Result<Entry>>> entries;
  const Status status = [&] {
    const GilRelease release;  // reads the whole index
    return checkpoint.ForEach([&](std::string_view name, Result<Entry> entry) {
      entries.emplace_back(name, std::move(entry));
      return Status();
    });
  }();
  ThrowIfError(status);
  py::list out;
  for (const auto& [name, entry] : entries) {
    out.append(py::make_tuple(NameToPython(name), entry.ok()
                                                      ? py::object(EntryToPython(*entry))
                                                      : MakeException(entry.status())));
  }
  return out;
}

template py::list ListNames(const engine::Bundle&);
template py::list ListNames(const engine::V1Checkpoint&);
template py::list ListShapes(const engine::Bundle&);
template py::list ListShapes(const engine::V1Checkpoint&);
template py::list ListDTypes(const engine::Bundle&);
template py::list ListDTypes(const engine::V1Checkpoint&);
template py::list ListEntries(const engine::Bundle&);
template py::list ListEntries(const engine::V1Checkpoint&);

}  // namespace tensorbundle::bindings
