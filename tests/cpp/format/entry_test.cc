#include "format/entry.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

#include "format/hex.h"

namespace tensorbundle::format {
namespace {

std::string Encode(const Entry& entry) {
  std::string out;
  AppendEntry(entry, out);
  return out;
}

Entry MakeEntry(DType dtype, Shape shape, uint64_t offset, uint64_t size, uint32_t crc) {
  Entry entry;
  entry.dtype = dtype;
  entry.shape = std::move(shape);
  entry.offset = offset;
  entry.size = size;
  entry.crc32c = checksum::MaskedCrc32c(crc);
  return entry;
}

void ExpectRoundTrip(const Entry& entry) {
  const std::string bytes = Encode(entry);
  const auto decoded = DecodeEntry(AsBytes(bytes));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString() << " in " << ToHex(bytes);
  EXPECT_EQ(*decoded, entry) << ToHex(bytes);
}

// bundle_format.md, 2.4; from TensorFlow.
TEST(Entry, EntriesHaveTensorFlowsBytes) {
  EXPECT_EQ(ToHex(Encode(MakeEntry(DType::kFloat32, {}, 24, 4, 0x897dfdd8))),
            "0801120020182804"
            "35d8fd7d89");
  EXPECT_EQ(ToHex(Encode(MakeEntry(DType::kInt32, {0, 4}, 28, 0, 0xa282ead8))),
            "080312061200120208"
            "04201c"
            "35d8ea82a2");
}

TEST(Entry, ZeroScalarsAreLeftOutButNotTheShape) {
  EXPECT_EQ(ToHex(Encode(MakeEntry(DType::kFloat32, {}, 0, 0, 0))), "08011200");
}

TEST(Entry, ShardsComeAfterTheShape) {
  Entry entry = MakeEntry(DType::kFloat64, {2}, 300, 16, 0x01020304);
  entry.shard_id = 7;
  EXPECT_EQ(ToHex(Encode(entry)),
            "0802"
            "120412020802"
            "1807"
            "20ac02"
            "2810"
            "3504030201");
}

TEST(Entry, AnEntryIsAppended) {
  std::string out = "x";
  AppendEntry(MakeEntry(DType::kFloat32, {}, 0, 4, 0), out);
  EXPECT_EQ(ToHex(out),
            "78"
            "080112002804");
}

TEST(Entry, EveryTypeRoundTrips) {
  for (const DTypeInfo& info : AllDTypes()) {
    const uint64_t size = info.element_size == 0 ? 64 : uint64_t{6} * info.element_size;
    ExpectRoundTrip(MakeEntry(info.dtype, {2, 3}, uint64_t{1} << 40, size, 0xffffffff));
  }
}

TEST(Entry, RandomShapesRoundTrip) {
  std::mt19937_64 random(20240601);
  for (int i = 0; i < 2000; ++i) {
    Shape shape(random() % 8);
    uint64_t size = 1;
    for (uint64_t& dimension : shape) size *= dimension = random() % 200;
    Entry entry = MakeEntry(DType::kUint8, shape, random() >> 2, size, 0);
    entry.crc32c = checksum::MaskedCrc32c(static_cast<uint32_t>(random()));
    entry.shard_id = static_cast<uint32_t>(random() % 100000);
    ExpectRoundTrip(entry);
  }
}

TEST(Entry, UnknownFieldsAreSkippedWhereverTheyStand) {
  // field 100 in the entry, a name in a dimension, field 9 in the shape
  const std::string bytes = FromHex(
      "a2 06 03 61 62 63 | 08 01 | 12 0b 12 07 08 02 12 03 64 69 6d 48 01 | 28 08 | a0 06 05");
  const auto entry = DecodeEntry(AsBytes(bytes));
  ASSERT_TRUE(entry.ok()) << entry.status().ToString();
  EXPECT_EQ(entry->shape, Shape{2});
  EXPECT_EQ(entry->size, 8u);
}

TEST(Entry, TheLastScalarWinsAndMessagesMerge) {
  const std::string bytes =
      FromHex("08 02 08 01 | 12 04 12 02 08 02 | 28 04 | 12 04 12 02 08 03 | 28 18");
  const auto entry = DecodeEntry(AsBytes(bytes));
  ASSERT_TRUE(entry.ok()) << entry.status().ToString();
  EXPECT_EQ(entry->dtype, DType::kFloat32);
  EXPECT_EQ(entry->shape, (Shape{2, 3}));
  EXPECT_EQ(entry->size, 24u);
}

TEST(Entry, AMissingShapeIsAScalars) {
  const std::string bytes = FromHex("08 01 28 04");
  const auto entry = DecodeEntry(AsBytes(bytes));
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->shape, Shape{});
}

TEST(Entry, ARankOf254IsRead) {
  ExpectRoundTrip(MakeEntry(DType::kFloat32, Shape(kMaxRank, 1), 0, 4, 1));
}

TEST(Entry, EmptyTensorsAreReadWhateverTheOtherDimensions) {
  ExpectRoundTrip(MakeEntry(DType::kFloat32, {0}, 10, 0, 0xa282ead8));
  ExpectRoundTrip(MakeEntry(DType::kFloat32, {uint64_t{1} << 40, 0, 3}, 10, 0, 0xa282ead8));
}

TEST(Entry, AnEmptyStringTensorMayHaveNoBytesAtAll) {
  ExpectRoundTrip(MakeEntry(DType::kString, {0}, 0, 4, 0x640cc1f6));
  ExpectRoundTrip(MakeEntry(DType::kString, {0}, 0, 0, 0));
}

TEST(Entry, NumElementsIsTheCheckedProduct) {
  EXPECT_EQ(*NumElements({}, 4), 1u);
  EXPECT_EQ(*NumElements({2, 3, 4}, 8), 24u);
  EXPECT_EQ(*NumElements({5, 0, 7}, 8), 0u);
  EXPECT_EQ(*NumElements({uint64_t{1} << 62}, 0), uint64_t{1} << 62);
  EXPECT_EQ(*NumElements({uint64_t{1} << 60}, 4), uint64_t{1} << 60);
  EXPECT_EQ(NumElements({uint64_t{1} << 61}, 4).status().code(), Code::kBadShape);
  EXPECT_EQ(NumElements({uint64_t{1} << 32, uint64_t{1} << 32}, 1).status().code(),
            Code::kBadShape);
  EXPECT_EQ(NumElements({0, uint64_t{1} << 62, uint64_t{1} << 62}, 1).status().code(),
            Code::kBadShape);
}

}  // namespace
}  // namespace tensorbundle::format
