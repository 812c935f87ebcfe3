// Entries that must be refused: reliability.md, 2.3 C.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/entry.h"
#include "format/hex.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

constexpr std::string_view kMinusOne = "ff ff ff ff ff ff ff ff ff 01";
constexpr uint64_t kMostNegative = uint64_t{1} << 63;

Status StatusOf(std::string_view value) { return DecodeEntry(AsBytes(value)).status(); }

Code CodeOfHex(const std::string& hex) { return StatusOf(FromHex(hex)).code(); }

// A float32 (or other) vector entry, with every number as it comes.
struct Fields {
  uint64_t dtype = 1;
  std::vector<uint64_t> dimensions = {4};
  std::string extra_shape = {};
  uint64_t shard_id = 0;
  uint64_t offset = 0;
  uint64_t size = 16;
};

std::string Encode(const Fields& fields) {
  std::string shape;
  for (const uint64_t size : fields.dimensions) {
    std::string dimension;
    PutVarintField(dimension, 1, size);
    PutBytesField(shape, 2, dimension);
  }
  std::string out;
  PutVarintField(out, 1, fields.dtype);
  PutBytesField(out, 2, shape + fields.extra_shape);
  PutVarintField(out, 3, fields.shard_id);
  PutVarintField(out, 4, fields.offset);
  PutVarintField(out, 5, fields.size);
  return out;
}

Code CodeOf(const Fields& fields) { return StatusOf(Encode(fields)).code(); }

TEST(EntryFault, TheUndamagedEntryIsSound) { EXPECT_EQ(CodeOf(Fields{}), Code::kOk); }

TEST(EntryFault, AnEmptyValueHasNoDType) { EXPECT_EQ(CodeOfHex(""), Code::kBadDType); }

TEST(EntryFault, ACutValueIsNotAnEntry) {
  const std::string whole = FromHex("0801120412020804281035d8fd7d89");
  ASSERT_TRUE(StatusOf(whole).ok());
  EXPECT_EQ(StatusOf(whole.substr(0, whole.size() - 3)).code(), Code::kBadEntry);
  EXPECT_EQ(StatusOf(whole.substr(0, 5)).code(), Code::kBadEntry);
}

TEST(EntryFault, ATwiceGivenSizeCountsTheLastTime) {
  EXPECT_EQ(CodeOfHex("08 01 12 04 12 02 08 04 28 10 28 08"), Code::kSizeMismatch);
}

TEST(EntryFault, AKnownFieldOfAnotherWireTypeIsRefused) {
  EXPECT_EQ(CodeOfHex("0a 01 01"), Code::kBadEntry);                          // dtype
  EXPECT_EQ(CodeOfHex("08 01 10 01"), Code::kBadEntry);                       // shape
  EXPECT_EQ(CodeOfHex("08 01 12 00 1a 01 00"), Code::kBadEntry);              // shard_id
  EXPECT_EQ(CodeOfHex("08 01 12 00 25 00 00 00 00"), Code::kBadEntry);        // offset
  EXPECT_EQ(CodeOfHex("08 01 12 00 2a 01 04"), Code::kBadEntry);              // size
  EXPECT_EQ(CodeOfHex("08 01 12 00 28 04 30 05"), Code::kBadEntry);           // crc32c
  EXPECT_EQ(CodeOfHex("08 01 12 00 38 01"), Code::kBadEntry);                 // slices
  EXPECT_EQ(CodeOfHex("08 01 12 02 10 01 28 04"), Code::kBadEntry);           // dim
  EXPECT_EQ(CodeOfHex("08 01 12 05 12 03 0a 01 04 28 10"), Code::kBadEntry);  // dim's size
  EXPECT_EQ(CodeOfHex("08 01 12 03 1a 01 01 28 04"), Code::kBadEntry);        // unknown_rank
}

TEST(EntryFault, AShapeOf2GiBIsNotInsideTheValue) {
  EXPECT_EQ(CodeOfHex("08 01 12 80 80 80 80 08"), Code::kBadEntry);
}

TEST(EntryFault, AShapeOfMillionsOfDimensionsIsNotReadToItsEnd) {
  std::string shape;
  for (int i = 0; i < 5 << 20; ++i) PutBytesField(shape, 2, "");
  std::string value = FromHex("0801");
  PutBytesField(value, 2, shape);
  EXPECT_EQ(StatusOf(value).code(), Code::kLimitExceeded);
}

TEST(EntryFault, ADTypeThatNoBundleHoldsIsNamedByItsNumber) {
  for (const uint64_t dtype :
       {0ull, 20ull, 34ull, 77ull, 101ull, 107ull, 200ull, 1ull << 32 | 1}) {
    const Status status = StatusOf(Encode({.dtype = dtype}));
    EXPECT_EQ(status.code(), Code::kBadDType) << dtype;
    EXPECT_NE(status.message().find(std::to_string(dtype)), std::string::npos);
  }
  const Status negative = StatusOf(Encode({.dtype = UINT64_MAX}));
  EXPECT_EQ(negative.code(), Code::kBadDType);
  EXPECT_NE(negative.message().find("-1"), std::string::npos);
}

TEST(EntryFault, NegativeDimensionsAreRefused) {
  EXPECT_EQ(CodeOf({.dimensions = {UINT64_MAX}}), Code::kBadShape);
  EXPECT_EQ(CodeOf({.dimensions = {kMostNegative}}), Code::kBadShape);
  EXPECT_EQ(CodeOf({.dimensions = {0, UINT64_MAX}, .size = 0}), Code::kBadShape);
}

TEST(EntryFault, OverflowingShapesAreRefused) {
  EXPECT_EQ(CodeOf({.dimensions = {1ull << 32, 1ull << 32}, .size = 0}), Code::kBadShape);
  EXPECT_EQ(CodeOf({.dimensions = {1ull << 61}, .size = 1ull << 63}), Code::kBadShape);
  EXPECT_EQ(CodeOf({.dimensions = {0, 1ull << 62, 1ull << 62}, .size = 0}), Code::kBadShape);
}

TEST(EntryFault, RanksAboveTheLimitAreRefused) {
  EXPECT_EQ(CodeOf({.dimensions = std::vector<uint64_t>(254, 1), .size = 4}), Code::kOk);
  EXPECT_EQ(CodeOf({.dimensions = std::vector<uint64_t>(255, 1), .size = 4}), Code::kBadShape);
  EXPECT_EQ(CodeOf({.dimensions = std::vector<uint64_t>(1024, 1), .size = 4}),
            Code::kBadShape);
  EXPECT_EQ(CodeOf({.dimensions = std::vector<uint64_t>(1025, 1), .size = 4}),
            Code::kLimitExceeded);
}

TEST(EntryFault, AnUnknownRankIsRefusedWithDimensionsOrWithout) {
  const std::string unknown_rank = FromHex("18 01");
  EXPECT_EQ(CodeOf({.dimensions = {}, .extra_shape = unknown_rank, .size = 4}),
            Code::kBadShape);
  EXPECT_EQ(CodeOf({.extra_shape = unknown_rank}), Code::kBadShape);
  EXPECT_EQ(CodeOf({.extra_shape = FromHex("18 00")}), Code::kOk);
}

TEST(EntryFault, ASizeThatDoesNotFitTheShapeIsNamedWithBothNumbers) {
  for (const uint64_t size : {0u, 12u, 15u, 17u, 32u}) {
    const Status status = StatusOf(Encode({.size = size}));
    EXPECT_EQ(status.code(), Code::kSizeMismatch) << size;
    EXPECT_NE(status.message().find("in " + std::to_string(size) + " bytes"),
              std::string::npos);
    EXPECT_NE(status.message().find("take 16"), std::string::npos) << status.ToString();
  }
  EXPECT_EQ(CodeOf({.dtype = 2, .size = 16}), Code::kSizeMismatch);  // doubles
  EXPECT_EQ(CodeOf({.size = UINT64_MAX}), Code::kSizeMismatch);      // -1
  EXPECT_EQ(CodeOf({.size = 16 + (1ull << 32)}), Code::kSizeMismatch);
}

TEST(EntryFault, AStringTensorTakesAByteForEachElementAndAChecksum) {
  EXPECT_EQ(CodeOf({.dtype = 7, .dimensions = {2}, .size = 6}), Code::kOk);
  EXPECT_EQ(CodeOf({.dtype = 7, .dimensions = {2}, .size = 5}), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf({.dtype = 7, .dimensions = {2}, .size = 0}), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf({.dtype = 7, .dimensions = {1 << 30}, .size = 9}), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf({.dtype = 7, .dimensions = {2}, .size = UINT64_MAX}), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf({.dtype = 21, .dimensions = {2}, .size = 9}), Code::kSizeMismatch);
}

TEST(EntryFault, APlaceOutsideAnyFileIsRefused) {
  EXPECT_EQ(CodeOf({.offset = UINT64_MAX}), Code::kOutOfBounds);  // -1
  EXPECT_EQ(CodeOf({.offset = kMostNegative}), Code::kOutOfBounds);
  EXPECT_EQ(CodeOf({.offset = INT64_MAX}), Code::kOutOfBounds);
  EXPECT_EQ(CodeOf({.offset = INT64_MAX - 16}), Code::kOk);  // until the shard is known
}

TEST(EntryFault, ANegativeShardIsRefused) {
  EXPECT_EQ(CodeOf({.shard_id = UINT64_MAX}), Code::kBadShardId);
  EXPECT_EQ(CodeOf({.shard_id = 1ull << 32}), Code::kBadShardId);
  EXPECT_EQ(CodeOf({.shard_id = 5}), Code::kOk);  // until the header is known
}

TEST(EntryFault, NegativeNumbersAreVarintsOfTenBytes) {
  EXPECT_EQ(CodeOfHex("08 01 12 00 20 " + std::string(kMinusOne) + " 28 04"),
            Code::kOutOfBounds);
  EXPECT_EQ(CodeOfHex("08 01 12 00 28 " + std::string(kMinusOne)), Code::kSizeMismatch);
}

}  // namespace
}  // namespace tensorbundle::format
