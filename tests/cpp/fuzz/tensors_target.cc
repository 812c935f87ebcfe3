// An input is up to 4 entries, field by field, and behind them the data file.  Flags of each
// entry say what of it is as it should be, so that what is behind that is met: size and
// checksum, the elements of strings and variants, the shares of several tensors in the same
// bytes.  Partitions that are as they should be are slices_target.cc's.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "checksum/crc32c.h"
#include "engine/partition.h"
#include "format/elements.h"
#include "format/entry.h"
#include "format/slices.h"
#include "format/table_file.h"
#include "fuzz/byte_storage.h"
#include "fuzz/checks.h"
#include "fuzz/input.h"
#include "fuzz/reading.h"
#include "fuzz/stored_elements.h"
#include "fuzz/targets.h"

namespace tensorbundle::fuzz {
namespace {

using format::Entry;

constexpr uint32_t kMostEntries = 4;
constexpr uint64_t kMostElements = 16;  // of strings and variants that are made

enum Flag : uint8_t {
  kRightSize = 1,
  kRightChecksum = 2,
  kPartitioned = 4,
  kBigRank = 8,
  kRightElements = 16,  // of strings and variants: stored behind the data
  kDamaged = 32,        // a bit of what was right is flipped
};

struct Fuzzed {
  std::string name;
  Entry entry;
  uint8_t flags = 0;
  std::optional<Values> expected;  // where all was made right
};

Fuzzed TakeEntry(Input& input, uint32_t number) {
  Fuzzed fuzzed;
  fuzzed.name = std::string(1, static_cast<char>('a' + number));
  fuzzed.flags = input.Byte();
  Entry& entry = fuzzed.entry;
  entry.dtype = format::AllDTypes()[input.Byte() % format::AllDTypes().size()].dtype;
  const size_t rank = input.Byte() % ((fuzzed.flags & kBigRank) != 0 ? 70u : 4u);
  for (size_t d = 0; d < rank; ++d) entry.shape.push_back(input.Number());
  entry.offset = input.Short();
  entry.size = input.Number();
  entry.crc32c = checksum::MaskedCrc32c(static_cast<uint32_t>(input.Number()));
  if ((fuzzed.flags & kPartitioned) != 0) {
    const size_t count = input.Byte() % 4 + 1;
    for (size_t i = 0; i < count; ++i) {
      entry.slices.push_back(TakeSlice(input, entry.shape.size()));
    }
  }
  return fuzzed;
}

// Strings or variants out of the data, stored behind it.
void AddElements(Fuzzed& fuzzed, uint64_t count, std::endian order, std::string& data) {
  Entry& entry = fuzzed.entry;
  Values values;
  for (uint64_t i = 0; i < count; ++i) {
    const size_t begin = std::min<size_t>(data.size(), entry.offset + 3 * i);
    values.push_back(data.substr(begin, (entry.size + 5 * i) % 9));
  }
  StoredElements stored = Store(entry.dtype, values, order);
  entry.offset = data.size();
  entry.size = stored.bytes.size();
  entry.crc32c = stored.crc32c;
  data += stored.bytes;
  fuzzed.expected = std::move(values);
}

// Makes right what the flags say, where the file has the bytes.
void Straighten(Fuzzed& fuzzed, std::endian order, std::string& data) {
  Entry& entry = fuzzed.entry;
  const uint32_t element = format::ElementSize(entry.dtype);
  const auto count = format::NumElements(entry.shape, element);
  if (!count.ok()) return;
  if (element == 0 && (fuzzed.flags & kRightElements) != 0 && *count <= kMostElements) {
    return AddElements(fuzzed, *count, order, data);
  }
  const bool sized = (fuzzed.flags & kRightSize) != 0 && element != 0;
  if (sized) entry.size = *count * element;
  const auto stored = Subspan(AsBytes(data), entry.offset, entry.size);
  if ((fuzzed.flags & kRightChecksum) == 0 || !stored.ok()) return;
  entry.crc32c = checksum::Mask(checksum::Compute(*stored));
  if (!sized) return;
  std::string bytes(AsText(*stored));
  if (order == std::endian::big) {
    ReverseWords(std::as_writable_bytes(std::span(bytes)),
                 format::InfoOf(entry.dtype).swap_size);
  }
  fuzzed.expected = Values{std::move(bytes)};
}

// Flips a bit of the first tensor that is to be damaged; gives that tensor.
const Fuzzed* Damage(const std::vector<Fuzzed>& tensors, std::string& data) {
  for (const Fuzzed& fuzzed : tensors) {
    const Entry& entry = fuzzed.entry;
    if ((fuzzed.flags & kDamaged) == 0 || !fuzzed.expected.has_value() || entry.size == 0) {
      continue;
    }
    const uint64_t at = entry.offset + entry.shape.size() * 7 % entry.size;
    data[at] = static_cast<char>(data[at] ^ 1 << entry.size % 8);
    return &fuzzed;
  }
  return nullptr;
}

std::string MakeIndex(const std::vector<Fuzzed>& tensors, std::endian order) {
  format::Header header;
  header.big_endian = order == std::endian::big;
  format::KeysAndValues entries = {{"", format::EncodeHeader(header)}};
  for (const Fuzzed& fuzzed : tensors) {
    std::string value;
    format::AppendEntry(fuzzed.entry, value);
    entries.emplace_back(fuzzed.name, std::move(value));
  }
  // The other tensors serve as parts as well.
  for (const Fuzzed& whole : tensors) {
    size_t i = 0;
    for (const format::Slice& slice : whole.entry.slices) {
      Entry part = tensors[i++ % tensors.size()].entry;
      part.slices.clear();
      std::string value;
      format::AppendEntry(part, value);
      entries.emplace_back(format::EncodeSliceKey(whole.name, slice), std::move(value));
    }
  }
  return SortedTable(std::move(entries));
}

void CheckSlices(const engine::Bundle& bundle, const std::string& name) {
  const auto entry = bundle.Find(name);
  if (!entry.ok()) return RequirePlaced(entry.status());
  const format::Shape& shape = entry->shape;
  if (!engine::CheckParts(shape, entry->slices, engine::Coverage::kPartial).ok()) return;
  uint64_t covered = 0;
  for (const format::Slice& slice : entry->slices) {
    const auto box = engine::BoxOf(slice, shape);
    Require(box.ok(), "a part that was checked is a box");
    covered += engine::Volume(*box);
    Require(engine::BoxOf(*engine::SliceOf(*box, shape), shape).ok(),
            "the slice of a box is a box");
  }
  const auto count = format::NumElements(shape, 1);
  Require(!count.ok() || covered <= *count, "parts that do not overlap fit into the whole");
}

// What is right is read as it was stored, and what was damaged is not.
void Compare(const Fuzzed& fuzzed, bool damaged, bool spoilt,
             const std::optional<Values>& found) {
  Require(!damaged || !found.has_value(), "a flipped bit is found");
  if (spoilt || !found.has_value() || !fuzzed.expected.has_value()) return;
  Require(*found == *fuzzed.expected, "what was stored comes back");
}

}  // namespace

void FuzzTensors(Bytes bytes) {
  Input input(bytes);
  const uint8_t head = input.Byte();
  const std::endian order = (head & 0x80) != 0 ? std::endian::big : std::endian::little;
  std::vector<Fuzzed> tensors;
  for (uint32_t i = 0; i <= head % kMostEntries; ++i) {
    tensors.push_back(TakeEntry(input, i));
  }
  std::string data(AsText(input.Rest()));
  for (Fuzzed& fuzzed : tensors) {
    if (fuzzed.entry.slices.empty()) Straighten(fuzzed, order, data);
  }
  const Fuzzed* const damaged = Damage(tensors, data);
  const std::string index = MakeIndex(tensors, order);
  auto storage = std::make_shared<ByteStorage>();
  storage->Add("x.index", AsBytes(index));
  storage->Add("x.data-00000-of-00001", AsBytes(data));
  const auto bundle = engine::Bundle::Open(std::move(storage), "x");
  if (!bundle.ok()) return RequirePlaced(bundle.status());
  std::vector<std::string> names;
  for (const Fuzzed& fuzzed : tensors) {
    names.push_back(fuzzed.name);
    if (!fuzzed.entry.slices.empty()) CheckSlices(**bundle, fuzzed.name);
  }
  const auto found = VerifyAndRead(**bundle, names);
  for (size_t i = 0; i < tensors.size(); ++i) {
    // The flipped bit may be others' as well.
    Compare(tensors[i], &tensors[i] == damaged, damaged != nullptr, found[i]);
  }
}

}  // namespace tensorbundle::fuzz
