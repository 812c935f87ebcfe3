// An input is up to 8 entries, field by field, and behind them the data file.  A flag of each
// entry says which of size and checksum are as they should be, so that what is behind them is
// met: string lengths, parts, the shares of several tensors in the same bytes.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checksum/crc32c.h"
#include "engine/partition.h"
#include "engine/reader.h"
#include "format/elements.h"
#include "format/entry.h"
#include "format/slices.h"
#include "format/table_file.h"
#include "fuzz/byte_storage.h"
#include "fuzz/checks.h"
#include "fuzz/input.h"
#include "fuzz/targets.h"

namespace tensorbundle::fuzz {
namespace {

using format::Entry;

constexpr uint32_t kMostEntries = 8;
// What a test of a few bytes may make of them; the product is checked before.
constexpr uint64_t kMostBytes = 1u << 16;

enum Flag : uint8_t { kRightSize = 1, kRightChecksum = 2, kPartitioned = 4, kBigRank = 8 };

struct Fuzzed {
  std::string name;
  Entry entry;
  uint8_t flags = 0;
};

format::Slice TakeSlice(Input& input, const format::Shape& shape) {
  format::Slice slice;
  for (size_t d = 0; d < shape.size(); ++d) {
    format::Extent extent;
    const uint8_t start = input.Byte();
    if (start != 0xff) {
      extent.start = start;
      extent.length = input.Byte();
    }
    slice.push_back(extent);
  }
  return slice;
}

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
      entry.slices.push_back(TakeSlice(input, entry.shape));
    }
  }
  return fuzzed;
}

// Makes size and checksum right, where the flags say so and the file has the bytes.
void Straighten(Fuzzed& fuzzed, Bytes data) {
  Entry& entry = fuzzed.entry;
  const uint32_t element = format::ElementSize(entry.dtype);
  const auto count = format::NumElements(entry.shape, element);
  if ((fuzzed.flags & kRightSize) != 0 && count.ok() && element != 0) {
    entry.size = *count * element;
  }
  const auto stored = Subspan(data, entry.offset, entry.size);
  if ((fuzzed.flags & kRightChecksum) != 0 && stored.ok()) {
    entry.crc32c = checksum::Mask(checksum::Compute(*stored));
  }
}

std::string MakeIndex(std::vector<Fuzzed>& tensors, bool big_endian) {
  format::Header header;
  header.big_endian = big_endian;
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
  std::sort(entries.begin(), entries.end());
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  return format::BuildTable(entries);
}

void CheckSlices(const Entry& entry) {
  const Status parts =
      engine::CheckParts(entry.shape, entry.slices, engine::Coverage::kPartial);
  if (!parts.ok()) return;
  uint64_t covered = 0;
  for (const format::Slice& slice : entry.slices) {
    const auto box = engine::BoxOf(slice, entry.shape);
    Require(box.ok(), "a part that was checked is a box");
    covered += engine::Volume(*box);
    Require(engine::BoxOf(*engine::SliceOf(*box, entry.shape), entry.shape).ok(),
            "the slice of a box is a box");
  }
  const auto count = format::NumElements(entry.shape, 1);
  Require(!count.ok() || covered <= *count, "parts that do not overlap fit into the whole");
}

// As the bindings do: check, allocate, read, decode.
void ReadOne(const engine::Bundle& bundle, const std::string& name) {
  auto entry = bundle.Find(name);
  if (!entry.ok()) return RequirePlaced(entry.status());
  if (!entry->slices.empty()) CheckSlices(*entry);
  std::vector<engine::ReadRequest> requests = {{name, *entry, {}}};
  const Status sound = engine::CheckRequests(bundle, requests);
  if (!sound.ok()) return RequirePlaced(sound);
  Require(entry->size <= kMostBytes, "nothing is larger than its file");
  std::vector<std::byte> memory(entry->size);
  requests.front().out = memory;
  engine::ReadOptions options;
  options.num_threads = 1;
  const auto report = engine::ReadTensors(bundle, requests, options);
  if (!report.ok()) return RequirePlaced(report.status());
  if (format::HasElementSize(entry->dtype)) return;
  for (const bool verify : {false, true}) {
    const auto elements = format::DecodeElements(*entry, memory, bundle.byte_order(), verify);
    if (!elements.ok()) continue;
    uint64_t total = 0;
    for (const Bytes element : *elements) total += element.size();
    Require(total <= memory.size(), "elements are inside their tensor");
  }
}

void VerifyAll(const engine::Bundle& bundle, const std::vector<std::string>& names) {
  std::vector<engine::ReadRequest> requests;
  for (const std::string& name : names) {
    auto entry = bundle.Find(name);
    if (entry.ok()) requests.push_back({name, std::move(entry).value(), {}});
  }
  std::vector<engine::Fault> faults;
  engine::ReadOptions options;
  options.num_threads = 1;
  const auto report = engine::VerifyTensors(bundle, requests, options, faults);
  Require(report.ok(), "a verification ends");
  for (const engine::Fault& fault : faults) {
    RequirePlaced(fault.status);
    Require(!fault.status.key().empty(), "a fault names its tensor");
  }
}

}  // namespace

void FuzzTensors(Bytes bytes) {
  Input input(bytes);
  const uint8_t head = input.Byte();
  std::vector<Fuzzed> tensors;
  for (uint32_t i = 0; i <= head % kMostEntries; ++i) {
    tensors.push_back(TakeEntry(input, i));
  }
  const Bytes data = input.Rest();
  for (Fuzzed& fuzzed : tensors) Straighten(fuzzed, data);
  const std::string index = MakeIndex(tensors, (head & 0x80) != 0);
  auto storage = std::make_shared<ByteStorage>();
  storage->Add("x.index", AsBytes(index));
  storage->Add("x.data-00000-of-00001", data);
  const auto bundle = engine::Bundle::Open(std::move(storage), "x");
  if (!bundle.ok()) return RequirePlaced(bundle.status());
  CheckBundle(**bundle);
  std::vector<std::string> names;
  for (const Fuzzed& fuzzed : tensors) {
    names.push_back(fuzzed.name);
    ReadOne(**bundle, fuzzed.name);
  }
  VerifyAll(**bundle, names);
}

}  // namespace tensorbundle::fuzz
