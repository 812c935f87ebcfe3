#include "format/fingerprint_list.h"

#include <gtest/gtest.h>

#include <string>

#include "checksum/crc32c.h"
#include "format/coding.h"

namespace tensorbundle::format {
namespace {

FingerprintList Example() {
  FingerprintList list;
  list.key = {0x0807060504030201, 0x100f0e0d0c0b0a09};
  list.index_size = 120;
  list.index = {0xaa, 0xbb};
  list.fingerprints = {{1, 2}, {3, 4}};
  return list;
}

std::string WithChecksum(std::string body) {
  PutFixed32(body, checksum::Mask(checksum::Compute(AsBytes(body))).value());
  return body;
}

TEST(FingerprintListTest, ItsBytesAreThoseOfTheHeader) {
  std::string expected = "tbprints";
  for (char c = 1; c <= 16; ++c) expected += c;
  PutFixed64(expected, 120);
  PutFixed64(expected, 0xaa);
  PutFixed64(expected, 0xbb);
  PutFixed64(expected, 2);
  for (const uint64_t word : {1, 2, 3, 4}) PutFixed64(expected, word);
  EXPECT_EQ(EncodeFingerprints(Example()), WithChecksum(expected));
}

TEST(FingerprintListTest, WhatWasEncodedIsDecoded) {
  for (const FingerprintList& list : {Example(), FingerprintList()}) {
    const std::string file = EncodeFingerprints(list);
    const auto decoded = DecodeFingerprints(AsBytes(file));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, list);
  }
}

TEST(FingerprintListTest, DamageAnywhereIsSeen) {
  const std::string file = EncodeFingerprints(Example());
  for (size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(DecodeFingerprints(AsBytes(damaged)).ok()) << i;
    EXPECT_FALSE(DecodeFingerprints(AsBytes(file.substr(0, i))).ok()) << i;
  }
  EXPECT_EQ(DecodeFingerprints(AsBytes("tbprints")).status().code(), Code::kUnsupportedFormat);
  EXPECT_EQ(DecodeFingerprints({}).status().code(), Code::kUnsupportedFormat);
}

TEST(FingerprintListTest, ACountThatIsNotThatOfTheFileIsRefused) {
  const std::string file = EncodeFingerprints(Example());
  for (const uint64_t count : {uint64_t{0}, uint64_t{1}, uint64_t{3}, UINT64_MAX}) {
    std::string body = file.substr(0, file.size() - 4);
    std::string number;
    PutFixed64(number, count);
    body.replace(48, 8, number);
    const std::string wrong = WithChecksum(body);
    EXPECT_EQ(DecodeFingerprints(AsBytes(wrong)).status().code(), Code::kSizeMismatch);
  }
}

}  // namespace
}  // namespace tensorbundle::format
