#include "format/wire.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "format/hex.h"

namespace tensorbundle::format {
namespace {

// The numbers of the fields, or nothing where the message is not well-formed.
std::optional<std::vector<uint32_t>> FieldsOf(std::string_view bytes) {
  std::vector<uint32_t> numbers;
  FieldReader fields(AsBytes(bytes));
  while (fields.Next()) numbers.push_back(fields.number());
  if (!fields.ok()) return std::nullopt;
  return numbers;
}

std::optional<std::vector<uint32_t>> FieldsOfHex(std::string_view hex) {
  return FieldsOf(FromHex(hex));
}

using Numbers = std::vector<uint32_t>;

std::string NestedGroups(int depth) {
  std::string message;
  for (int i = 0; i < depth; ++i) PutTag(message, 9, WireType::kStartGroup);
  for (int i = 0; i < depth; ++i) PutTag(message, 9, WireType::kEndGroup);
  return message;
}

TEST(Wire, FieldsHaveTheirSpecifiedBytes) {
  std::string out;
  PutVarintField(out, 1, 150);         // protobuf.dev: 08 96 01
  PutBytesField(out, 2, "testing");    // protobuf.dev: 12 07 74 65 73 74 69 6e 67
  PutTag(out, 6, WireType::kFixed32);  // the tag of BundleEntryProto.crc32c
  PutVarintField(out, 16, 0);          // two bytes of tag; a zero is written, too
  EXPECT_EQ(ToHex(out),
            "089601"
            "120774657374696e67"
            "35"
            "800100");
}

TEST(Wire, EveryWireTypeIsReadWhole) {
  const std::string bytes = FromHex(
      "08 96 01 | 12 02 61 62 | 1d 01 00 00 00 |"
      "21 01 02 03 04 05 06 07 08 | 2b 08 01 2c | 30 07");
  EXPECT_EQ(FieldsOf(bytes), (Numbers{1, 2, 3, 4, 5, 6}));
}

TEST(Wire, AValueIsGivenOnlyAsTheTypeItHas) {
  const std::string bytes = FromHex("08 05 | 12 01 78 | 1d 07 00 00 00");
  FieldReader fields(AsBytes(bytes));
  uint64_t varint = 0;
  uint32_t word = 0;
  Bytes text;
  ASSERT_TRUE(fields.Next());
  EXPECT_TRUE(fields.GetVarint(varint));
  EXPECT_EQ(varint, 5u);
  EXPECT_FALSE(fields.GetFixed32(word));
  EXPECT_FALSE(fields.GetBytes(text));
  ASSERT_TRUE(fields.Next());
  EXPECT_TRUE(fields.GetBytes(text));
  EXPECT_EQ(AsText(text), "x");
  EXPECT_FALSE(fields.GetVarint(varint));
  ASSERT_TRUE(fields.Next());
  EXPECT_TRUE(fields.GetFixed32(word));
  EXPECT_EQ(word, 7u);
  EXPECT_FALSE(fields.Next());
  EXPECT_TRUE(fields.ok());
}

TEST(Wire, AnEmptyMessageIsWellFormed) { EXPECT_EQ(FieldsOf(""), Numbers{}); }

TEST(Wire, ABrokenFieldIsAFaultAndNotTheEnd) {
  EXPECT_EQ(FieldsOfHex("08"), std::nullopt);           // no value
  EXPECT_EQ(FieldsOfHex("08 80"), std::nullopt);        // half a varint
  EXPECT_EQ(FieldsOfHex("00 01"), std::nullopt);        // field number 0
  EXPECT_EQ(FieldsOfHex("0e 01"), std::nullopt);        // wire type 6
  EXPECT_EQ(FieldsOfHex("0f 01"), std::nullopt);        // wire type 7
  EXPECT_EQ(FieldsOfHex("1d 01 02 03"), std::nullopt);  // three bytes of four
  EXPECT_EQ(FieldsOfHex("19 01 02 03 04 05 06 07"), std::nullopt);
  EXPECT_EQ(FieldsOfHex("12 03 61 62"), std::nullopt);        // two bytes of three
  EXPECT_EQ(FieldsOfHex("12 80 80 80 80 08"), std::nullopt);  // 2^31 bytes
  EXPECT_EQ(FieldsOfHex("12 ff ff ff ff ff ff ff ff ff 01"), std::nullopt);  // 2^64 - 1
  EXPECT_EQ(FieldsOfHex("88 80 80 80 80 80 01 00"), std::nullopt);  // a tag of 7 bytes
}

TEST(Wire, GroupsAreSkippedUpToALimit) {
  EXPECT_EQ(FieldsOf(NestedGroups(kMaxGroupDepth)), Numbers{9});
  EXPECT_EQ(FieldsOf(NestedGroups(kMaxGroupDepth + 1)), std::nullopt);
  EXPECT_EQ(FieldsOf(NestedGroups(20000)), std::nullopt);
}

TEST(Wire, AGroupMustEndWhereItsNumberSays) {
  EXPECT_EQ(FieldsOfHex("4b 4c"), Numbers{9});
  EXPECT_EQ(FieldsOfHex("4b"), std::nullopt);              // never ends
  EXPECT_EQ(FieldsOfHex("4c"), std::nullopt);              // never began
  EXPECT_EQ(FieldsOfHex("4b 54"), std::nullopt);           // 9 begins, 10 ends
  EXPECT_EQ(FieldsOfHex("4b 53 4c 54"), std::nullopt);     // crossed
  EXPECT_EQ(FieldsOfHex("4b 12 05 61 4c"), std::nullopt);  // broken inside
}

}  // namespace
}  // namespace tensorbundle::format
