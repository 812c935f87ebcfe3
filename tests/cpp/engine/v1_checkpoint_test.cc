#include "engine/v1_checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/v1_reader.h"
#include "format/slices.h"
#include "format/table_file.h"
#include "format/wire.h"
#include "io/memory_storage.h"

namespace tensorbundle::engine {
namespace {

using format::PutBytesField;
using format::PutVarintField;

constexpr uint64_t kInt32 = 3;
constexpr uint64_t kNoDType = 200;

std::string Message(uint32_t field, std::string_view content) {
  std::string out;
  PutBytesField(out, field, content);
  return out;
}

std::string Number(uint32_t field, uint64_t value) {
  std::string out;
  PutVarintField(out, field, value);
  return out;
}

// A TensorSliceProto of one dimension; all of it where `length` is 0.
std::string SliceMessage(int64_t start, int64_t length) {
  if (length == 0) return Message(1, "");
  return Message(
      1, Number(1, static_cast<uint64_t>(start)) + Number(2, static_cast<uint64_t>(length)));
}

// One file of a checkpoint of vectors.
class V1File {
 public:
  V1File& List(std::string_view name, uint64_t dtype, uint64_t size, int64_t start = 0,
               int64_t length = 0) {
    PutBytesField(list_, 1,
                  Message(1, name) + Message(2, Message(2, Number(1, size))) +
                      Number(3, dtype) + Message(4, SliceMessage(start, length)));
    return *this;
  }

  // The elements 0, 1, ... of type int32.
  V1File& Store(std::string_view name, uint64_t size, int64_t start = 0, int64_t length = 0) {
    std::string numbers;
    for (uint64_t i = 0; i < size; ++i) numbers += static_cast<char>(i);
    const auto extent = length == 0 ? format::Extent{} : format::Extent{start, length};
    records_.emplace_back(
        format::EncodeSliceKey(name, {extent}),
        Message(2, Message(1, name) + Message(2, SliceMessage(start, length)) +
                       Message(3, Message(7, numbers))));
    return *this;
  }

  // Lists and stores a sound one.
  V1File& Add(std::string_view name, uint64_t size) {
    return List(name, kInt32, size).Store(name, size);
  }

  std::string Table() const {
    format::KeysAndValues entries = records_;
    entries.emplace_back("", Message(1, list_));
    std::sort(entries.begin(), entries.end());
    return format::BuildTable(entries);
  }

 private:
  std::string list_;
  format::KeysAndValues records_;
};

// What V1Checkpoint::Open() makes of files of these bytes, named v1-0, v1-1, ...
Result<std::unique_ptr<V1Checkpoint>> OpenTables(const std::vector<std::string>& tables) {
  const auto storage = io::MakeMemoryStorage();
  std::vector<std::string> paths;
  for (const std::string& table : tables) {
    paths.push_back("v1-" + std::to_string(paths.size()));
    TB_ASSIGN_OR_RETURN(const auto file, storage->Create(paths.back()));
    TB_RETURN_IF_ERROR(file->WriteAt(0, AsBytes(table)));
    TB_RETURN_IF_ERROR(file->Close());
  }
  return V1Checkpoint::Open(*storage, paths);
}

Result<std::unique_ptr<V1Checkpoint>> OpenFiles(const std::vector<V1File>& files) {
  std::vector<std::string> tables;
  tables.reserve(files.size());
  for (const V1File& file : files) tables.push_back(file.Table());
  return OpenTables(tables);
}

// A file whose list is these bytes.
Result<std::unique_ptr<V1Checkpoint>> OpenList(std::string_view list) {
  return OpenTables({format::BuildTable({{"", Message(1, list)}})});
}

// "a: Ok b: BadDType", as ForEach() visits them; looked up, each is the same.
std::string Told(const V1Checkpoint& checkpoint) {
  std::string told;
  const Status status = checkpoint.ForEach(
      [&](std::string_view name, const Result<V1Checkpoint::Tensor>& found) {
        if (!told.empty()) told += ' ';
        told += std::string(name) + ": " + std::string(CodeName(found.status().code()));
        EXPECT_EQ(checkpoint.Find(name).status().ToString(), found.status().ToString());
        return Status();
      });
  EXPECT_TRUE(status.ok());
  return told;
}

std::string Names(const V1Checkpoint& checkpoint) {
  std::string names;
  const Status status = checkpoint.ForEachName([&](std::string_view name) {
    names += name;
    return Status();
  });
  EXPECT_TRUE(status.ok());
  return names;
}

// The elements, one digit each, or what is wrong.
std::string Read(const V1Checkpoint& checkpoint, const std::string& name) {
  auto request = MakeV1Request(checkpoint, name);
  if (!request.ok()) return request.status().ToString();
  const auto pieces = LocateAll(checkpoint, {&*request, 1});
  if (!pieces.ok()) return pieces.status().ToString();
  std::vector<int32_t> numbers(request->entry.size / sizeof(int32_t));
  request->out = std::as_writable_bytes(std::span(numbers));
  const auto report = ReadV1Tensors(checkpoint, {&*request, 1}, *pieces, {});
  if (!report.ok()) return report.status().ToString();
  std::string out;
  for (const int32_t number : numbers) out += std::to_string(number);
  return out;
}

TEST(V1Checkpoint, ABadTensorLeavesTheOthersReadable) {
  V1File file;
  file.Add("z", 3).List("bad", kNoDType, 4).Add("a", 2);
  const auto checkpoint = OpenFiles({file});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_EQ(Told(**checkpoint), "a: Ok bad: BadDType z: Ok");
  EXPECT_EQ(Names(**checkpoint), "abadz");
  EXPECT_EQ(Read(**checkpoint, "a"), "01");
  EXPECT_EQ(Read(**checkpoint, "z"), "012");
  EXPECT_EQ(Read(**checkpoint, "bad"),
            "v1-0: tensor \"bad\": dtype 200 is not one that a bundle can hold, shard 0");
  EXPECT_EQ((*checkpoint)->Locate("bad").status().code(), Code::kBadDType);
  EXPECT_EQ(Read(**checkpoint, "b"), "v1-0: tensor \"b\": not in the checkpoint");
}

TEST(V1Checkpoint, ABadTensorOfOneFileIsToldWithThatFile) {
  V1File first;
  V1File second;
  first.Add("a", 2).List("bad", kInt32, 4, 0, 2);
  second.List("bad", kInt32, 4, 3, 2).Add("c", 1);  // a slice past the end
  const auto checkpoint = OpenFiles({first, second});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_EQ(Told(**checkpoint), "a: Ok bad: BadSlice c: Ok");
  const Status status = (*checkpoint)->Find("bad").status();
  EXPECT_EQ(status.path(), "v1-1");
  EXPECT_EQ(status.shard(), 1);
  EXPECT_EQ(Read(**checkpoint, "c"), "0");
}

TEST(V1Checkpoint, FilesThatDisagreeAboutATensorLeaveTheOthersReadable) {
  V1File first;
  V1File second;
  first.List("dtype", kInt32, 4, 0, 2).List("shape", kInt32, 4, 0, 2).Add("good", 2);
  second.List("dtype", kInt32 + 1, 4, 2, 2).List("shape", kInt32, 5, 2, 2);
  const auto checkpoint = OpenFiles({first, second});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_EQ(Told(**checkpoint), "dtype: BadEntry good: Ok shape: BadEntry");
  EXPECT_EQ(Read(**checkpoint, "shape"),
            "v1-1: tensor \"shape\": listed with another dtype or shape before, shard 1");
  EXPECT_EQ(Read(**checkpoint, "good"), "01");
}

TEST(V1Checkpoint, SlicesOfSeveralFilesAreOneTensor) {
  V1File first;
  V1File second;
  first.List("a", kInt32, 5, 3, 2).Store("a", 2, 3, 2);
  second.List("a", kInt32, 5, 0, 3).Store("a", 3, 0, 3);
  const auto checkpoint = OpenFiles({first, second});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_EQ(Told(**checkpoint), "a: Ok");
  const auto tensor = (*checkpoint)->Find("a");
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->files, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(Read(**checkpoint, "a"), "01201");
}

TEST(V1Checkpoint, ATensorListedTwiceIsAFaultOfItsOwn) {
  V1File file;
  file.Add("a", 2).List("a", kInt32, 2).Add("b", 1);
  const auto checkpoint = OpenFiles({file});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_EQ(Names(**checkpoint), "ab");
  EXPECT_EQ((*checkpoint)->Locate("a").status().code(), Code::kBadSlice);
  EXPECT_EQ(Read(**checkpoint, "b"), "0");
}

TEST(V1Checkpoint, TheSlicesOfOneTensorAreLimitedInAllListsTogether) {
  V1File file;
  file.Add("good", 1);
  for (size_t i = 0; i <= format::kMaxSlices; ++i) file.List("a", kInt32, 8, 0, 1);
  const auto checkpoint = OpenFiles({file});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  EXPECT_EQ(Told(**checkpoint), "a: LimitExceeded good: Ok");
}

TEST(V1Checkpoint, MoreTensorsThanTheLimitAreRefused) {
  std::string list;
  for (size_t i = 0; i < kMaxV1Tensors; ++i) list += Message(1, Message(1, "x"));
  EXPECT_TRUE(OpenList(list).ok());
  list += Message(1, Message(1, "x"));
  EXPECT_EQ(OpenList(list).status().ToString(), "v1-0: more than 1048576 tensors");
}

TEST(V1Checkpoint, AListThatIsNoMessageFailsTheOpen) {
  const Status status = OpenList(Message(1, Message(1, "a")) + "\x0a\x7f").status();
  EXPECT_EQ(status.code(), Code::kBadHeader);
  EXPECT_EQ(status.ToString(), "v1-0: the list of tensors is not a well-formed message");
}

TEST(V1Checkpoint, ATensorWithoutNameFailsTheOpen) {
  const Status status = OpenList(Message(1, Message(1, "a")) + Message(1, "")).status();
  EXPECT_EQ(status.code(), Code::kBadEntry);
  EXPECT_EQ(status.ToString(), "v1-0: a tensor has no name");
}

TEST(V1Checkpoint, AVerificationTellsEachFault) {
  V1File file;
  file.Add("a", 2).List("unstored", kInt32, 4);
  const auto checkpoint = OpenFiles({file});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().ToString();
  std::vector<ReadRequest> requests;
  for (const char* name : {"a", "unstored"}) {
    auto request = MakeV1Request(**checkpoint, name);
    ASSERT_TRUE(request.ok()) << request.status().ToString();
    requests.push_back(std::move(request).value());
  }
  std::vector<Fault> faults;
  ASSERT_TRUE(VerifyV1Tensors(**checkpoint, requests, {}, faults).ok());
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults.front().request, 1u);
  EXPECT_EQ(faults.front().status.code(), Code::kMissingSlice);
}

}  // namespace
}  // namespace tensorbundle::engine
