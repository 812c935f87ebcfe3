#include "engine/box_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/tensor_list.h"
#include "engine/writer.h"
#include "format/slices.h"
#include "io/faulty_storage.h"
#include "io/memory_storage.h"

namespace tensorbundle::engine {
namespace {

constexpr uint64_t kRows = 700;
constexpr uint64_t kColumns = 9000;

// A matrix of bytes, "whole" as it is, "cut" in four parts.
class BoxReaderTest : public ::testing::Test {
 protected:
  BoxReaderTest() : memory_(io::MakeMemoryStorage()) {
    std::mt19937 random(1);
    matrix_.resize(kRows * kColumns);
    for (char& c : matrix_) c = static_cast<char>(random());
    TensorList list;
    Add(list, "whole", {{0, 0}, shape_}, matrix_);
    PartitionedTensor cut{"cut", {}};
    cut.entry.dtype = format::DType::kUint8;
    cut.entry.shape = shape_;
    for (const Box& box : {Box{{0, 0}, {300, 5000}}, Box{{0, 5000}, {300, 4000}},
                           Box{{300, 0}, {400, 10}}, Box{{300, 10}, {400, 8990}}}) {
      cut.entry.slices.push_back(*SliceOf(box, shape_));
      parts_.push_back(Piece(box));
      keys_.push_back(format::EncodeSliceKey("cut", cut.entry.slices.back()));
      Add(list, keys_.back(), box, parts_.back());
      list.views().back().is_part = true;
    }
    const auto saved = Save(*memory_, "d/x", list.views(), {}, {&cut, 1});
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    disk_ = std::make_shared<io::FaultyStorage>(*memory_);
    bundle_ = std::move(Bundle::Open(disk_, "d/x")).value();
  }

  static void Add(TensorList& list, const std::string& name, const Box& box,
                  const std::string& bytes) {
    TensorView& view = list.Add("", name, box.size);
    view.dtype = format::DType::kUint8;
    view.size = bytes.size();
    view.contiguous = AsBytes(bytes);
  }

  std::string Piece(const Box& box) const {
    std::string bytes;
    for (uint64_t row = box.begin[0]; row < box.begin[0] + box.size[0]; ++row) {
      bytes += matrix_.substr(row * kColumns + box.begin[1], box.size[1]);
    }
    return bytes;
  }

  // Reads the box; gives how many bytes that took of the files.
  uint64_t ReadAndCompare(const std::string& name, const Box& box) {
    const size_t before = disk_->log().size();
    const auto reader = BoxReader::Make(*bundle_, name, *bundle_->Find(name), box);
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    std::string out(reader->size(), '?');
    const Status status =
        reader->Read({reinterpret_cast<std::byte*>(out.data()), out.size()}, {});
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(out == Piece(box)) << name;
    uint64_t num_bytes = 0;
    const std::vector<io::Call> calls = disk_->log();
    for (size_t i = before; i < calls.size(); ++i) {
      if (calls[i].operation == io::Operation::kRead) num_bytes += calls[i].size;
    }
    return num_bytes;
  }

  const format::Shape shape_ = {kRows, kColumns};
  std::string matrix_;
  std::vector<std::string> parts_;
  std::vector<std::string> keys_;
  const std::shared_ptr<io::Storage> memory_;
  std::shared_ptr<io::FaultyStorage> disk_;
  std::unique_ptr<Bundle> bundle_;
};

TEST_F(BoxReaderTest, RowsTakeTheirOwnBytesAlone) {
  EXPECT_EQ(ReadAndCompare("whole", {{5, 0}, {1, kColumns}}), kColumns);
  EXPECT_EQ(ReadAndCompare("whole", {{100, 0}, {300, kColumns}}), 300 * kColumns);
  EXPECT_EQ(ReadAndCompare("whole", {{699, 8999}, {1, 1}}), 1u);
  EXPECT_EQ(ReadAndCompare("cut", {{5, 0}, {1, kColumns}}), kColumns);
  EXPECT_EQ(ReadAndCompare("cut", {{5, 6000}, {1, 10}}), 10u);
}

TEST_F(BoxReaderTest, SmallGapsAreReadAndNothingBeforeOrAfter) {
  // Two columns: what lies between them too, but where a window of the file ends.
  const uint64_t between = (kRows - 1) * kColumns + 2;
  const uint64_t num_bytes = ReadAndCompare("whole", {{0, 7}, {kRows, 2}});
  EXPECT_LE(num_bytes, between);
  EXPECT_GT(num_bytes, between - (between / kBoxWindow + 1) * kColumns);
  EXPECT_EQ(ReadAndCompare("whole", {{10, 7}, {3, 2}}), 2 * kColumns + 2);
}

TEST_F(BoxReaderTest, PartsThatAreNotWantedAreNotTouched) {
  EXPECT_EQ(ReadAndCompare("cut", {{300, 0}, {400, 10}}), 400u * 10);
  EXPECT_EQ(ReadAndCompare("cut", {{0, 5000}, {300, 4000}}), 300u * 4000);
}

TEST_F(BoxReaderTest, EveryBoxIsRight) {
  std::mt19937 random(2);
  for (int i = 0; i < 200; ++i) {
    Box box = WholeBox(shape_);
    for (size_t d = 0; d < 2; ++d) {
      box.begin[d] = random() % shape_[d];
      box.size[d] = 1 + random() % (shape_[d] - box.begin[d]);
      if (random() % 2 == 0) box.size[d] = std::min<uint64_t>(box.size[d], 9);
    }
    ReadAndCompare(i % 2 == 0 ? "whole" : "cut", box);
  }
}

TEST_F(BoxReaderTest, WideGapsAreSkipped) {
  TensorList list;
  const std::string bytes(8u << 20, 'x');
  Add(list, "wide", {{0, 0}, {8, 1u << 20}}, bytes);
  ASSERT_TRUE(Save(*memory_, "d/wide", list.views(), {}).ok());
  const auto bundle = Bundle::Open(disk_, "d/wide");
  const auto reader =
      BoxReader::Make(**bundle, "wide", *(*bundle)->Find("wide"), {{0, 100}, {8, 5}});
  const size_t before = disk_->calls(io::Operation::kRead);
  std::string out(reader->size(), '?');
  ASSERT_TRUE(reader->Read({reinterpret_cast<std::byte*>(out.data()), out.size()}, {}).ok());
  EXPECT_EQ(out, std::string(40, 'x'));
  EXPECT_EQ(disk_->calls(io::Operation::kRead) - before, 8u);
  EXPECT_EQ(disk_->log().back().size, 5u);
}

TEST_F(BoxReaderTest, AFailedReadIsToldWithTensorAndShard) {
  const auto reader =
      BoxReader::Make(*bundle_, "whole", *bundle_->Find("whole"), {{0, 7}, {kRows, 2}});
  const uint64_t next = disk_->calls(io::Operation::kRead) + 1;
  disk_->FailCall({.operation = io::Operation::kRead, .nth = next, .error_number = EIO});
  std::string out(reader->size(), '?');
  const Status status =
      reader->Read({reinterpret_cast<std::byte*>(out.data()), out.size()}, {});
  EXPECT_EQ(status.error_number(), EIO);
  EXPECT_EQ(status.key(), "whole");
  EXPECT_EQ(status.shard(), 0);
}

TEST_F(BoxReaderTest, ABoxOfNothingReadsNothing) {
  EXPECT_EQ(ReadAndCompare("whole", {{5, 0}, {0, kColumns}}), 0u);
  EXPECT_EQ(ReadAndCompare("cut", {{5, 0}, {0, kColumns}}), 0u);
}

}  // namespace
}  // namespace tensorbundle::engine
