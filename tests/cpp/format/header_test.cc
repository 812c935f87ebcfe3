#include <gtest/gtest.h>

#include "format/entry.h"
#include "format/hex.h"
#include "format/naming.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

Code CodeOf(std::string_view value) { return DecodeHeader(AsBytes(value)).status().code(); }
Code CodeOfHex(std::string_view hex) { return CodeOf(FromHex(hex)); }

TEST(Header, OneShardHasTensorFlowsBytes) {
  EXPECT_EQ(ToHex(EncodeHeader(Header{})), "08011a020801");
  EXPECT_EQ(ToHex(EncodeHeader(Header{2, false})), "08021a020801");
  EXPECT_EQ(ToHex(EncodeHeader(Header{300, true})), "08ac0210011a020801");
}

TEST(Header, EveryHeaderRoundTrips) {
  for (const Header& header : {Header{}, Header{17, true}, Header{kMaxShards, false}}) {
    const std::string bytes = EncodeHeader(header);
    const auto decoded = DecodeHeader(AsBytes(bytes));
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(*decoded, header);
  }
}

TEST(Header, AMissingVersionIsVersionZero) { EXPECT_EQ(CodeOfHex("0801"), Code::kOk); }

TEST(Header, UnknownFieldsAreSkippedAndTheLastScalarWins) {
  const std::string bytes = FromHex("08 05 | 7a 02 61 62 | 08 03 | 83 01 08 01 84 01");
  const auto header = DecodeHeader(AsBytes(bytes));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->num_shards, 3u);
}

TEST(Header, NumShardsMustBeThereAndInRange) {
  EXPECT_EQ(CodeOfHex(""), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("1a 02 08 01"), Code::kBadHeader);                       // absent
  EXPECT_EQ(CodeOfHex("08 00"), Code::kBadHeader);                             // 0
  EXPECT_EQ(CodeOfHex("08 ff ff ff ff ff ff ff ff ff 01"), Code::kBadHeader);  // -1
  EXPECT_EQ(CodeOfHex("08 9f 8d 06"), Code::kOk);                              // 99999
  EXPECT_EQ(CodeOfHex("08 a0 8d 06"), Code::kBadHeader);                       // 100000
  EXPECT_EQ(CodeOfHex("08 81 80 80 80 10"), Code::kBadHeader);                 // 2^32 + 1
}

TEST(Header, EndiannessIsZeroOrOne) {
  EXPECT_EQ(CodeOfHex("08 01 10 00"), Code::kOk);
  EXPECT_EQ(CodeOfHex("08 01 10 01"), Code::kOk);
  EXPECT_EQ(CodeOfHex("08 01 10 02"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 10 07"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 10 ff ff ff ff ff ff ff ff ff 01"), Code::kBadHeader);
}

TEST(Header, VersionsAreHeldAgainstOurs) {
  EXPECT_EQ(CodeOfHex("08 01 1a 02 08 09"), Code::kOk);                  // a newer producer
  EXPECT_EQ(CodeOfHex("08 01 1a 04 08 09 10 01"), Code::kOk);            // min_consumer 1
  EXPECT_EQ(CodeOfHex("08 01 1a 02 10 02"), Code::kUnsupportedVersion);  // min_consumer 2
  EXPECT_EQ(CodeOfHex("08 01 1a 0b 08 ff ff ff ff ff ff ff ff ff 01"),
            Code::kUnsupportedVersion);  // producer -1
}

TEST(Header, ABundleThatRefusesThisVersionIsNotRead) {
  EXPECT_EQ(CodeOfHex("08 01 1a 03 1a 01 02"), Code::kOk);
  EXPECT_EQ(CodeOfHex("08 01 1a 05 1a 03 07 01 02"), Code::kUnsupportedVersion);  // packed
  EXPECT_EQ(CodeOfHex("08 01 1a 04 18 07 18 01"), Code::kUnsupportedVersion);     // not
}

TEST(Header, WhatIsNotAMessageIsNotAHeader) {
  EXPECT_EQ(CodeOf("not a proto"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("ff ff ff"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 1a 05 08 01"), Code::kBadHeader);     // cut version
  EXPECT_EQ(CodeOfHex("08 01 1a 01 08"), Code::kBadHeader);        // cut in the version
  EXPECT_EQ(CodeOfHex("08 01 1a 03 1a 01 80"), Code::kBadHeader);  // cut in the list
}

TEST(Header, AWrongWireTypeIsRefused) {
  EXPECT_EQ(CodeOfHex("0d 01 00 00 00"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 12 01 00"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 18 01"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 1a 05 0d 01 00 00 00"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 1a 05 15 01 00 00 00"), Code::kBadHeader);
  EXPECT_EQ(CodeOfHex("08 01 1a 05 1d 01 00 00 00"), Code::kBadHeader);
}

TEST(Header, DeepGroupsAreRefusedWithoutRecursion) {
  std::string bytes = EncodeHeader(Header{});
  for (int i = 0; i < 20000; ++i) PutTag(bytes, 15, WireType::kStartGroup);
  for (int i = 0; i < 20000; ++i) PutTag(bytes, 15, WireType::kEndGroup);
  EXPECT_EQ(CodeOf(bytes), Code::kBadHeader);
}

TEST(Header, AV1CheckpointIsNamedAsOne) {
  // SavedTensorSlices { meta { tensor { name: "v" } versions { producer: 1 } } }
  EXPECT_EQ(CodeOfHex("0a 09 0a 03 0a 01 76 12 02 08 01"), Code::kUnsupportedFormat);
}

}  // namespace
}  // namespace tensorbundle::format
