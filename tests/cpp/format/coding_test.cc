#include "format/coding.h"

#include <gtest/gtest.h>

#include "format/hex.h"

namespace tensorbundle::format {
namespace {

std::string Varint(uint64_t value) {
  std::string out;
  PutVarint64(out, value);
  return ToHex(out);
}

bool Reads32(std::string_view hex) {
  const std::string bytes = FromHex(hex);
  Cursor cursor(AsBytes(bytes));
  uint32_t value = 0;
  return cursor.ReadVarint32(value) && cursor.done();
}

bool Reads64(std::string_view hex) {
  const std::string bytes = FromHex(hex);
  Cursor cursor(AsBytes(bytes));
  uint64_t value = 0;
  return cursor.ReadVarint64(value) && cursor.done();
}

TEST(Coding, WordsOfABigEndianFileAreTurnedRound) {
  EXPECT_EQ(InOrder(std::endian::little, uint32_t{0x01020304}), 0x01020304u);
  EXPECT_EQ(InOrder(std::endian::big, uint32_t{0x01020304}), 0x04030201u);
  EXPECT_EQ(InOrder(std::endian::big, uint64_t{0x0102030405060708}), 0x0807060504030201u);
}

TEST(Coding, FixedIntegersAreLittleEndian) {
  std::string out;
  PutFixed32(out, 0x04030201);
  PutFixed64(out, 0xdb4775248b80fb57);
  EXPECT_EQ(ToHex(out),
            "01020304"
            "57fb808b247547db");
  EXPECT_EQ(LoadFixed32(AsBytes(out)), 0x04030201u);
  EXPECT_EQ(LoadFixed64(AsBytes(out).subspan(4)), 0xdb4775248b80fb57u);
}

TEST(Coding, VarintsHaveTheirSpecifiedBytes) {
  EXPECT_EQ(Varint(0), "00");
  EXPECT_EQ(Varint(127), "7f");
  EXPECT_EQ(Varint(128), "8001");
  EXPECT_EQ(Varint(150), "9601");  // protobuf.dev's own example
  EXPECT_EQ(Varint(UINT32_MAX), "ffffffff0f");
  EXPECT_EQ(Varint(UINT64_MAX), "ffffffffffffffffff01");
}

TEST(Coding, EveryVarintRoundTripsAndHasTheSizeForetold) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t value : {uint64_t{1} << bit, (uint64_t{1} << bit) - 1}) {
      std::string out;
      PutVarint64(out, value);
      EXPECT_EQ(out.size(), VarintSize(value));
      Cursor cursor(AsBytes(out));
      uint64_t read = ~value;
      EXPECT_TRUE(cursor.ReadVarint64(read));
      EXPECT_EQ(read, value);
      EXPECT_TRUE(cursor.done());
    }
  }
}

TEST(Coding, AVarint32IsAtMostFiveBytesAndThirtyTwoBits) {
  EXPECT_TRUE(Reads32("ff ff ff ff 0f"));
  EXPECT_TRUE(Reads32("81 80 80 80 00"));  // overlong, but within five bytes
  EXPECT_FALSE(Reads32("ff ff ff ff 1f"));
  EXPECT_FALSE(Reads32("81 80 80 80 80 00"));
  EXPECT_FALSE(Reads32("81 80 80 80 80 80 00"));
  EXPECT_FALSE(Reads32("80 80"));
  EXPECT_FALSE(Reads32(""));
}

TEST(Coding, AVarint64IsAtMostTenBytesAndSixtyFourBits) {
  EXPECT_TRUE(Reads64("ff ff ff ff ff ff ff ff ff 01"));
  EXPECT_FALSE(Reads64("ff ff ff ff ff ff ff ff ff 02"));
  EXPECT_FALSE(Reads64("81 80 80 80 80 80 80 80 80 80 00"));
  EXPECT_FALSE(Reads64("ff"));
}

TEST(Coding, AFailedReadLeavesTheCursorWhereItWas) {
  const std::string bytes = FromHex("05 80 80");
  Cursor cursor(AsBytes(bytes));
  uint32_t word = 0;
  uint64_t number = 0;
  Bytes part;
  EXPECT_FALSE(cursor.ReadFixed32(word));
  EXPECT_FALSE(cursor.ReadFixed64(number));
  EXPECT_FALSE(cursor.ReadBytes(4, part));
  EXPECT_FALSE(cursor.ReadBytes(UINT64_MAX, part));
  EXPECT_EQ(cursor.position(), 0u);
  EXPECT_TRUE(cursor.ReadVarint64(number));
  EXPECT_EQ(number, 5u);
  EXPECT_FALSE(cursor.ReadVarint64(number));
  EXPECT_FALSE(cursor.ReadVarint32(word));
  EXPECT_EQ(cursor.position(), 1u);
  EXPECT_EQ(cursor.remaining(), 2u);
}

TEST(Coding, ACursorHandsOutTheBytesInOrder) {
  const std::string bytes = "abcdef";
  Cursor cursor(AsBytes(bytes));
  Bytes part;
  ASSERT_TRUE(cursor.ReadBytes(2, part));
  EXPECT_EQ(AsText(part), "ab");
  ASSERT_TRUE(cursor.ReadBytes(0, part));
  EXPECT_EQ(AsText(part), "");
  ASSERT_TRUE(cursor.ReadBytes(4, part));
  EXPECT_EQ(AsText(part), "cdef");
  EXPECT_TRUE(cursor.done());
}

}  // namespace
}  // namespace tensorbundle::format
