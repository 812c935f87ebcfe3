// An input is a small tensor, how it is cut into parts, in at most one way what is wrong with
// them, and which boxes of it are wanted.  What is read has to be what the tensor is, or
// nothing; and where nothing is wrong it has to be read.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/assembly.h"
#include "engine/box_reader.h"
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

using engine::Box;
using format::Entry;
using format::Slice;

constexpr size_t kMostRank = 4;
constexpr uint64_t kMostElements = 60;
constexpr size_t kMostParts = 6;
constexpr uint32_t kShards = 2;
constexpr int kMostBoxes = 2;
const std::string kName = "t";

enum class Fault : uint8_t {
  kNone,
  kNoEntry,    // a part that the index has no entry for
  kChecksum,   // of a part
  kDType,      // of a part
  kShape,      // of a part
  kNested,     // a part that has parts
  kNotListed,  // a part that the tensor does not list
  kListedTwice,
  kOverlap,       // a part more, anywhere
  kOtherExtents,  // of a part, any
  kCut,           // a data file
  kFlipped,       // a bit of it
  kCount,
};

// A tensor in memory.
struct Tensor {
  format::DType dtype = format::DType::kFloat32;
  format::Shape shape;
  std::endian order = std::endian::little;
  Values elements;

  // Those of a box, in C order.
  Values Of(const Box& box) const {
    Values values;
    Walk(box, 0, 0, values);
    return values;
  }

 private:
  void Walk(const Box& box, size_t d, uint64_t index, Values& values) const {
    if (d == shape.size()) return values.push_back(elements[index]);
    for (uint64_t i = 0; i < box.size[d]; ++i) {
      Walk(box, d + 1, index * shape[d] + box.begin[d] + i, values);
    }
  }
};

struct Part {
  Slice slice;
  Entry entry;
  bool has_entry = true;
};

struct Stored {
  std::vector<Slice> listed;
  std::vector<Part> parts;
  std::string shards[kShards];
};

Tensor TakeTensor(Input& input) {
  Tensor tensor;
  const uint8_t head = input.Byte();
  tensor.order = (head & 0x80) != 0 ? std::endian::big : std::endian::little;
  tensor.dtype = format::AllDTypes()[input.Byte() % format::AllDTypes().size()].dtype;
  uint64_t volume = 1;
  for (size_t d = 0; d < head % (kMostRank + 1); ++d) {
    const uint64_t most = kMostElements / std::max<uint64_t>(volume, 1);
    tensor.shape.push_back(std::min<uint64_t>(input.Byte() % 18, most));
    volume *= tensor.shape.back();
  }
  const uint8_t seed = input.Byte();
  const uint32_t size = format::ElementSize(tensor.dtype);
  for (uint64_t i = 0; i < volume; ++i) {
    std::string element(size != 0 ? size : (i + seed) % 5, '\0');
    for (size_t byte = 0; byte < element.size(); ++byte) {
      element[byte] = static_cast<char>(seed + 5 * i + byte);
    }
    tensor.elements.push_back(std::move(element));
  }
  return tensor;
}

// Cuts one box in two, again and again.
std::vector<Box> TakeCuts(Input& input, const format::Shape& shape) {
  std::vector<Box> boxes = {engine::WholeBox(shape)};
  const size_t wanted = input.Byte() % kMostParts + 1;
  for (size_t i = 1; i < wanted && !shape.empty(); ++i) {
    const size_t box = input.Byte() % boxes.size();
    const size_t d = input.Byte() % shape.size();
    if (boxes[box].size[d] < 2) continue;
    const uint64_t cut = input.Byte() % (boxes[box].size[d] - 1) + 1;
    boxes.push_back(boxes[box]);
    boxes[box].size[d] = cut;
    boxes.back().begin[d] += cut;
    boxes.back().size[d] -= cut;
  }
  return boxes;
}

// In words of "all", or in numbers.
Slice SliceOf(const Box& box, const Tensor& tensor, bool full) {
  auto slice = engine::SliceOf(box, tensor.shape);
  Require(slice.ok(), "a box of a cut has a slice", slice.status());
  for (size_t d = 0; full && d < slice->size(); ++d) {
    if (box.size[d] == tensor.shape[d]) (*slice)[d] = format::Extent{};
  }
  return std::move(slice).value();
}

Stored StoreParts(Input& input, const Tensor& tensor, const std::vector<Box>& boxes) {
  Stored stored;
  const uint8_t how = input.Byte();
  for (size_t i = 0; i < boxes.size(); ++i) {
    Part part;
    part.slice = SliceOf(boxes[i], tensor, (how >> i & 1) != 0);
    const StoredElements elements = Store(tensor.dtype, tensor.Of(boxes[i]), tensor.order);
    part.entry.dtype = tensor.dtype;
    part.entry.shape = boxes[i].size;
    part.entry.shard_id = i % kShards;
    std::string& shard = stored.shards[part.entry.shard_id];
    shard.append(how % 3, '\x55');  // a gap
    part.entry.offset = shard.size();
    part.entry.size = elements.bytes.size();
    part.entry.crc32c = elements.crc32c;
    shard += elements.bytes;
    stored.listed.push_back(part.slice);
    stored.parts.push_back(std::move(part));
  }
  // TensorFlow lists parts in any order.
  std::rotate(stored.listed.begin(), stored.listed.begin() + how % boxes.size(),
              stored.listed.end());
  return stored;
}

void Spoil(Fault fault, Input& input, const Tensor& tensor, Stored& stored) {
  Part& part = stored.parts[input.Byte() % stored.parts.size()];
  const auto listed = std::find(stored.listed.begin(), stored.listed.end(), part.slice);
  std::string& shard = stored.shards[part.entry.shard_id];
  switch (fault) {
    case Fault::kNone:
    case Fault::kCount: break;
    case Fault::kNoEntry: part.has_entry = false; break;
    case Fault::kChecksum:
      part.entry.crc32c = checksum::MaskedCrc32c(part.entry.crc32c.value() ^ 1u << 7);
      break;
    case Fault::kDType:
      part.entry.dtype = format::AllDTypes()[input.Byte() % format::AllDTypes().size()].dtype;
      break;
    case Fault::kShape:
      part.entry.shape.clear();
      for (size_t d = input.Byte() % 6; d > 0; --d) {
        part.entry.shape.push_back(input.Number());
      }
      break;
    case Fault::kNested: part.entry.slices = stored.listed; break;
    case Fault::kNotListed: stored.listed.erase(listed); break;
    case Fault::kListedTwice: stored.listed.push_back(*listed); break;
    case Fault::kOverlap: {
      Part more = part;
      more.slice = TakeSlice(input, tensor.shape.size());
      stored.listed.push_back(more.slice);
      stored.parts.push_back(std::move(more));
      break;
    }
    case Fault::kOtherExtents:
      part.slice = TakeSlice(input, input.Byte() % 4 == 0 ? 1 : tensor.shape.size());
      *listed = part.slice;
      break;
    case Fault::kCut: shard.resize(shard.size() - input.Byte() % (shard.size() + 1)); break;
    case Fault::kFlipped:
      if (shard.empty()) break;
      shard[input.Byte() % shard.size()] ^= 1;
      break;
  }
}

std::string MakeIndex(const Tensor& tensor, const Stored& stored) {
  format::Header header;
  header.big_endian = tensor.order == std::endian::big;
  header.num_shards = kShards;
  Entry whole;
  whole.dtype = tensor.dtype;
  whole.shape = tensor.shape;
  whole.slices = stored.listed;
  format::KeysAndValues entries = {{"", format::EncodeHeader(header)}, {kName, ""}};
  format::AppendEntry(whole, entries.back().second);
  for (const Part& part : stored.parts) {
    if (!part.has_entry) continue;
    entries.emplace_back(format::EncodeSliceKey(kName, part.slice), "");
    format::AppendEntry(part.entry, entries.back().second);
  }
  return SortedTable(std::move(entries));
}

Box TakeBox(Input& input, const format::Shape& shape) {
  Box box;
  for (const uint64_t size : shape) {
    box.begin.push_back(input.Byte() % (size + 1));
    box.size.push_back(input.Byte() % (size - box.begin.back() + 1));
  }
  return box;
}

Result<Values> ReadBox(const engine::Bundle& bundle, const Box& wanted) {
  format::TableLookup lookup = bundle.MakeLookup();
  TB_ASSIGN_OR_RETURN(Entry entry, engine::FindToRead(bundle, kName, lookup));
  TB_ASSIGN_OR_RETURN(const auto reader,
                      engine::BoxReader::Make(bundle, kName, std::move(entry), wanted));
  Require(reader.size() <= kMostBytes, "nothing is larger than what is stored");
  std::vector<std::byte> memory(reader.size());
  TB_RETURN_IF_ERROR(reader.Read(memory, ReadingOptions()));
  auto values = ValuesOf(bundle, reader.dtype(), reader.parts(), wanted, memory);
  if (values.ok()) return values;
  return std::move(values).status().WithPath(kName);  // as the bindings do, who decode
}

void Compare(const Tensor& tensor, const Box& box, Fault fault, const Values& found) {
  // Nobody knows of a bit in a part of a part, or that a part was another before.
  if (fault == Fault::kFlipped || fault == Fault::kOtherExtents) return;
  Values expected = tensor.Of(box);
  if (format::HasElementSize(tensor.dtype)) {
    std::string bytes;
    for (const std::string& element : expected) bytes += element;
    expected = {std::move(bytes)};
  }
  Require(found == expected, "what was stored comes back");
}

}  // namespace

void FuzzSlices(Bytes bytes) {
  Input input(bytes);
  const Tensor tensor = TakeTensor(input);
  const std::vector<Box> boxes = TakeCuts(input, tensor.shape);
  Stored stored = StoreParts(input, tensor, boxes);
  const auto fault = static_cast<Fault>(input.Byte() % static_cast<uint8_t>(Fault::kCount));
  Spoil(fault, input, tensor, stored);
  const std::string index = MakeIndex(tensor, stored);
  auto storage = std::make_shared<ByteStorage>();
  storage->Add("x.index", AsBytes(index));
  storage->Add("x.data-00000-of-00002", AsBytes(stored.shards[0]));
  storage->Add("x.data-00001-of-00002", AsBytes(stored.shards[1]));
  const auto bundle = engine::Bundle::Open(std::move(storage), "x");
  Require(bundle.ok(), "an index that was built opens", bundle.status());
  for (int i = 0; i < kMostBoxes && !input.empty(); ++i) {
    const Box wanted = TakeBox(input, tensor.shape);
    const auto found = ReadBox(**bundle, wanted);
    if (found.ok()) {
      Compare(tensor, wanted, fault, *found);
    } else {
      RequirePlaced(found.status());
      Require(fault != Fault::kNone, "what is sound is read", found.status());
    }
  }
  const std::vector<std::string> names = {kName};
  const auto whole = VerifyAndRead(**bundle, names).front();
  Require(whole.has_value() || fault != Fault::kNone, "what is sound is read");
  if (whole.has_value()) Compare(tensor, engine::WholeBox(tensor.shape), fault, *whole);
}

}  // namespace tensorbundle::fuzz
