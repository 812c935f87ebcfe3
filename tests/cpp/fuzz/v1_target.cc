// The first byte of an input says what the rest is:
//
//   0  the bytes of a V1 checkpoint
//   1  keys and values of a sound table
//   2  tensors and their records, field by field, in one file or two: whatever is wrong with
//      them, each is listed
//
// Checksums and footers are right but in the first.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/v1_checkpoint.h"
#include "engine/v1_reader.h"
#include "format/entry.h"
#include "format/slices.h"
#include "format/table_file.h"
#include "format/wire.h"
#include "fuzz/byte_storage.h"
#include "fuzz/checks.h"
#include "fuzz/input.h"
#include "fuzz/reading.h"
#include "fuzz/targets.h"

namespace tensorbundle::fuzz {
namespace {

using engine::V1Checkpoint;
using format::PutBytesField;
using format::PutVarintField;

constexpr size_t kMostEntries = 32;
constexpr uint32_t kMostTensors = 4;
constexpr uint64_t kMostMade = 64;  // elements of a slice that is made

// What one of the files is made of.
struct File {
  std::string tensors;  // the list, without its frame
  format::KeysAndValues records;
};

std::string EncodeShape(const format::Shape& shape) {
  std::string out;
  for (const uint64_t size : shape) {
    std::string dimension;
    PutVarintField(dimension, 1, size);
    PutBytesField(out, 2, dimension);
  }
  return out;
}

std::string EncodeSlice(const format::Slice& slice) {
  std::string out;
  for (const format::Extent& extent : slice) {
    std::string bytes;
    if (extent.length != format::Extent::kFull) {
      PutVarintField(bytes, 1, static_cast<uint64_t>(extent.start));
      PutVarintField(bytes, 2, static_cast<uint64_t>(extent.length));
    }
    PutBytesField(out, 1, bytes);
  }
  return out;
}

// As many elements as the slice has, in the field of tensor.proto that the input names: packed
// numbers of that many bytes, or strings.
std::string MakeElements(Input& input, const format::Shape& shape,
                         const format::Slice& slice) {
  const auto box = engine::BoxOf(slice, shape);
  const uint8_t how = input.Byte();
  const uint64_t count = box.ok() ? std::min(engine::Volume(*box), kMostMade) : 1;
  const uint32_t field = how % 18;
  std::string out;
  if (field == 8) {
    for (uint64_t i = 0; i < count; ++i) PutBytesField(out, field, std::string(i % 3, 's'));
    return out;
  }
  constexpr size_t kWidths[] = {1, 4, 8, 16};
  PutBytesField(out, field, std::string(count * kWidths[how >> 6], how >> 5 & 1));
  return out;
}

void TakeTensor(Input& input, uint32_t number, std::vector<File>& files) {
  const std::string name(1, static_cast<char>('a' + number));
  const uint8_t flags = input.Byte();
  const uint64_t dtype = input.Byte();
  format::Shape shape;
  for (int d = 0; d < (flags & 3); ++d) shape.push_back(input.Number());
  std::vector<std::string> listed(files.size());
  for (int i = 0; i <= (flags >> 2 & 3); ++i) {
    const format::Slice slice = TakeSlice(input, shape.size());
    File& file = files[static_cast<size_t>(i) % files.size()];
    PutBytesField(listed[static_cast<size_t>(i) % files.size()], 4, EncodeSlice(slice));
    std::string record;
    PutBytesField(record, 1, name);
    PutBytesField(record, 2, EncodeSlice(slice));
    PutBytesField(record, 3,
                  (flags & 0x80) != 0 ? std::string(AsText(input.Take(input.Short())))
                                      : MakeElements(input, shape, slice));
    std::string value;
    PutBytesField(value, 2, record);
    file.records.emplace_back(format::EncodeSliceKey(name, slice), std::move(value));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    if (listed[i].empty()) continue;
    std::string tensor;
    PutBytesField(tensor, 1, name);
    PutBytesField(tensor, 2, EncodeShape(shape));
    PutVarintField(tensor, 3, dtype);
    PutBytesField(files[i].tensors, 1, tensor + listed[i]);
  }
}

// The tables of a checkpoint, and how many tensors are listed; unknown: none perhaps.
struct Made {
  std::vector<std::string> tables;
  std::optional<size_t> num_tensors = std::nullopt;
};

Made MakeFiles(Input& input) {
  const uint8_t head = input.Byte();
  std::vector<File> files((head >> 7) + 1u);
  const uint32_t num_tensors = head % kMostTensors + 1;
  for (uint32_t i = 0; i < num_tensors; ++i) TakeTensor(input, i, files);
  std::vector<std::string> tables;
  for (File& file : files) {
    std::string list;
    PutBytesField(list, 1, file.tensors);
    file.records.emplace_back("", std::move(list));
    tables.push_back(SortedTable(std::move(file.records)));
  }
  return {std::move(tables), num_tensors};
}

Made MakeTables(Input& input) {
  switch (input.Byte() % 3) {
    case 0: return {{std::string(AsText(input.Rest()))}};
    case 1: {
      format::KeysAndValues entries;
      TakeEntries(input, kMostEntries, entries);
      return {{SortedTable(std::move(entries))}};
    }
    default: return MakeFiles(input);
  }
}

void CheckVerified(const V1Checkpoint& checkpoint, const engine::ReadRequest& request) {
  std::vector<engine::Fault> faults;
  const auto verified =
      engine::VerifyV1Tensors(checkpoint, {&request, 1}, ReadingOptions(), faults);
  Require(verified.ok(), "a verification ends");
  for (const engine::Fault& fault : faults) {
    RequirePlaced(fault.status);
    Require(fault.status.key() == request.name, "a fault names its tensor");
  }
  const auto pieces = engine::LocateAll(checkpoint, {&request, 1});
  RequirePlaced(pieces.status());
  Require(pieces.ok() || !faults.empty(), "what is verified is located");
  if (!pieces.ok()) return;
  Require(request.entry.size <= kMostBytes, "nothing is larger than what is stored");
  std::vector<std::byte> memory(request.entry.size);
  engine::ReadRequest read = request;
  read.out = memory;
  const auto report = engine::ReadV1Tensors(checkpoint, {&read, 1}, *pieces, ReadingOptions());
  RequirePlaced(report.status());
  Require(report.ok() == faults.empty(), "what is verified is read, and nothing else");
  if (request.entry.dtype == format::DType::kString) {
    uint64_t total = 0;
    for (const Bytes string : engine::V1Strings(request.entry.shape, pieces->front())) {
      total += string.size();
    }
    Require(total <= kMostBytes, "strings are inside their file");
  }
}

// A tensor that is listed, looked up and verified: all of them say the same of it.
void CheckTensor(const V1Checkpoint& checkpoint, const std::string& name,
                 const Result<V1Checkpoint::Tensor>& listed) {
  const auto request = engine::MakeV1Request(checkpoint, name);
  Require(request.status().code() == listed.status().code(), "a look-up says what a list says",
          request.status());
  if (request.ok()) return CheckVerified(checkpoint, *request);
  RequirePlaced(listed.status());
  Require(listed.status().key() == name, "a bad tensor is named");
  Require(checkpoint.Locate(name).status().code() == listed.status().code(),
          "a bad tensor is not located");
}

}  // namespace

void FuzzV1(Bytes bytes) {
  Input input(bytes);
  const Made made = MakeTables(input);
  ByteStorage storage;
  std::vector<std::string> paths;
  for (size_t i = 0; i < made.tables.size(); ++i) {
    paths.push_back("x-" + std::to_string(i));
    storage.Add(paths.back(), AsBytes(made.tables[i]));
  }
  const auto checkpoint = V1Checkpoint::Open(storage, paths);
  if (!checkpoint.ok()) {
    Require(!made.num_tensors.has_value(), "a bad tensor leaves the list readable",
            checkpoint.status());
    return RequirePlaced(checkpoint.status());
  }
  std::string_view last;
  size_t num_tensors = 0;
  const V1Checkpoint::Visitor visit = [&](std::string_view name,
                                          const Result<V1Checkpoint::Tensor>& tensor) {
    Require(last < name, "names ascend, and none is empty");
    last = name;
    ++num_tensors;
    CheckTensor(**checkpoint, std::string(name), tensor);
    return Status();
  };
  const Status all = (*checkpoint)->ForEach(visit);
  Require(all.ok(), "a list ends");
  Require(num_tensors == made.num_tensors.value_or(num_tensors), "every tensor is listed");
}

}  // namespace tensorbundle::fuzz
