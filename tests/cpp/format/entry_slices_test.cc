// The slices of an entry: their bytes, and reliability.md, 2.3 F.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/entry.h"
#include "format/hex.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

// A float32 entry of shape {4, 6} with the given TensorSliceProtos.
std::string Encode(const std::vector<std::string>& slices) {
  std::string out = FromHex("0801 1208 12020804 12020806");
  for (const std::string& slice : slices) PutBytesField(out, 7, slice);
  return out;
}

std::string ExtentBytes(uint64_t start, uint64_t length) {
  std::string message;
  PutVarintField(message, 1, start);
  PutVarintField(message, 2, length);
  std::string out;
  PutBytesField(out, 1, message);
  return out;
}

const std::string kFullExtent = FromHex("0a00");

Code CodeOf(const std::vector<std::string>& slices) {
  const std::string value = Encode(slices);
  return DecodeEntry(AsBytes(value)).status().code();
}

// The first extent with this start and length, the second full.
Code CodeOf(uint64_t start, uint64_t length) {
  return CodeOf({ExtentBytes(start, length) + kFullExtent});
}

// As TensorFlow 2.21 wrote it (tensorflow_test.cc, kSlicedIndex).
TEST(EntrySlices, SlicesHaveTensorFlowsBytes) {
  Entry entry;
  entry.shape = {4, 6};
  entry.slices = {{{0, 2}, {}}, {{2, 2}, {0, 6}}};
  std::string out;
  AppendEntry(entry, out);
  EXPECT_EQ(ToHex(out), "0801120812020804120208063a060a0210020a003a0a0a04080210020a021006");
  const auto decoded = DecodeEntry(AsBytes(out));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(*decoded, entry);
}

TEST(EntrySlices, ThePlaceOfASlicedTensorIsIgnored) {
  std::string value = Encode({ExtentBytes(0, 2) + kFullExtent});
  PutVarintField(value, 3, UINT64_MAX);
  PutVarintField(value, 4, UINT64_MAX);
  PutVarintField(value, 5, UINT64_MAX);
  const auto entry = DecodeEntry(AsBytes(value));
  ASSERT_TRUE(entry.ok()) << entry.status().ToString();
  EXPECT_EQ(entry->shard_id, 0u);
  EXPECT_EQ(entry->offset, 0u);
  EXPECT_EQ(entry->size, 0u);
}

TEST(EntrySlices, AnExtentMustLieInsideItsDimension) {
  EXPECT_EQ(CodeOf(0, 4), Code::kOk);
  EXPECT_EQ(CodeOf(3, 1), Code::kOk);
  EXPECT_EQ(CodeOf(0, 5), Code::kBadSlice);
  EXPECT_EQ(CodeOf(3, 2), Code::kBadSlice);
  EXPECT_EQ(CodeOf(4, 1), Code::kBadSlice);
  EXPECT_EQ(CodeOf(0, 400), Code::kBadSlice);
}

TEST(EntrySlices, AnExtentMustNotWrapAround) {
  EXPECT_EQ(CodeOf(static_cast<uint64_t>(-5), 2), Code::kBadSlice);
  EXPECT_EQ(CodeOf(static_cast<uint64_t>(-5), 7), Code::kBadSlice);
  EXPECT_EQ(CodeOf(2, INT64_MAX), Code::kBadSlice);
  EXPECT_EQ(CodeOf(INT64_MAX, INT64_MAX), Code::kBadSlice);
  EXPECT_EQ(CodeOf(2, static_cast<uint64_t>(-1)), Code::kBadSlice);
  EXPECT_EQ(CodeOf(2, 1ull << 63), Code::kBadSlice);
}

TEST(EntrySlices, AnExtentMustNotBeEmpty) { EXPECT_EQ(CodeOf(2, 0), Code::kBadSlice); }

TEST(EntrySlices, ASliceHasOneExtentPerDimension) {
  EXPECT_EQ(CodeOf({""}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({kFullExtent}), Code::kBadSlice);
  EXPECT_EQ(CodeOf({kFullExtent + kFullExtent}), Code::kOk);
  EXPECT_EQ(CodeOf({kFullExtent + kFullExtent + kFullExtent}), Code::kBadSlice);
}

TEST(EntrySlices, AStartWithoutALengthIsRefused) {
  EXPECT_EQ(CodeOf({FromHex("0a020802") + kFullExtent}), Code::kBadSlice);
}

TEST(EntrySlices, TheSameSliceTwiceIsRefused) {
  const std::string one = ExtentBytes(0, 2) + kFullExtent;
  const std::string other = ExtentBytes(2, 2) + kFullExtent;
  EXPECT_EQ(CodeOf({one, other}), Code::kOk);
  EXPECT_EQ(CodeOf({one, other, one}), Code::kBadSlice);
}

TEST(EntrySlices, ABrokenSliceIsNotAnEntry) {
  EXPECT_EQ(CodeOf({FromHex("0a05")}), Code::kBadEntry);
  EXPECT_EQ(CodeOf({FromHex("0801")}), Code::kBadEntry);            // not a message
  EXPECT_EQ(CodeOf({FromHex("0a0108")}), Code::kBadEntry);          // a cut extent
  EXPECT_EQ(CodeOf({FromHex("0a050d00000000")}), Code::kBadEntry);  // start as fixed32
  EXPECT_EQ(CodeOf({FromHex("0a051500000000")}), Code::kBadEntry);  // length as fixed32
}

TEST(EntrySlices, SlicesMayStandBeforeTheShape) {
  const std::string value = FromHex("3a060a0210020a00 1208 12020804 12020806 0801");
  EXPECT_TRUE(DecodeEntry(AsBytes(value)).ok());
}

TEST(EntrySlices, TooManySlicesAreRefused) {
  std::vector<std::string> slices(kMaxSlices + 1);
  EXPECT_EQ(CodeOf(slices), Code::kLimitExceeded);
}

// A slice of rank 254 takes some 500 bytes, and would become 4,000.
TEST(EntrySlices, TooManyExtentsAreRefusedBeforeTheyAreDecoded) {
  std::string shape;
  for (size_t i = 0; i < kMaxRank; ++i) shape += FromHex("12020801");
  std::string value = FromHex("0801");
  PutBytesField(value, 2, shape);
  std::string slice;
  for (size_t i = 0; i < kMaxRank; ++i) slice += kFullExtent;
  for (size_t i = 0; i <= kMaxExtents / kMaxRank; ++i) PutBytesField(value, 7, slice);
  EXPECT_EQ(DecodeEntry(AsBytes(value)).status().code(), Code::kLimitExceeded);
}

}  // namespace
}  // namespace tensorbundle::format
