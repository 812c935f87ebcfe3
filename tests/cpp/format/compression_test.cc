#include "format/compression.h"

#include <gtest/gtest.h>

#include <random>

#include "format/snappy_encoder.h"

#ifdef TENSORBUNDLE_HAVE_SNAPPY
#include <snappy-c.h>
#endif

namespace tensorbundle::format {
namespace {

std::string Decoded(std::string_view compressed) {
  auto decoded = DecodeSnappy(AsBytes(compressed));
  if (decoded.ok()) return std::string(AsText(*decoded));
  EXPECT_EQ(decoded.status().code(), Code::kBadCompression);
  return "refused";
}

std::string Hand(std::initializer_list<int> bytes) {
  std::string out;
  for (const int b : bytes) out += static_cast<char>(b);
  return out;
}

TEST(CompressionTest, NothingIsJustItsSize) { EXPECT_EQ(Decoded(Hand({0})), ""); }

TEST(CompressionTest, ALiteralIsItsBytes) {
  EXPECT_EQ(Decoded(Hand({3, 2 << 2, 'a', 'b', 'c'})), "abc");
  EXPECT_EQ(Decoded(Hand({3, 60 << 2, 2, 'a', 'b', 'c'})), "abc");        // size in 1 byte
  EXPECT_EQ(Decoded(Hand({3, 61 << 2, 2, 0, 'a', 'b', 'c'})), "abc");     // in 2
  EXPECT_EQ(Decoded(Hand({3, 62 << 2, 2, 0, 0, 'a', 'b', 'c'})), "abc");  // in 3
  EXPECT_EQ(Decoded(Hand({3, 63 << 2, 2, 0, 0, 0, 'a', 'b', 'c'})), "abc");
}

TEST(CompressionTest, ACopyRepeatsWhatWasDecoded) {
  EXPECT_EQ(Decoded(Hand({7, 2 << 2, 'a', 'b', 'c', 1, 3})), "abcabca");  // 4 bytes, 3 back
  EXPECT_EQ(Decoded(Hand({5, 2 << 2, 'a', 'b', 'c', 1 << 2 | 2, 2, 0})), "abcbc");
  EXPECT_EQ(Decoded(Hand({4, 2 << 2, 'a', 'b', 'c', 3, 3, 0, 0, 0})), "abca");
}

TEST(CompressionTest, TheHighBitsOfAShortCopysOffsetCount) {
  const std::string text = "x" + std::string(600, '-');
  std::string compressed;
  PutVarint32(compressed, 605);
  AppendLiteral(text, compressed);
  compressed += Hand({1 | (601 >> 8) << 5, 601 & 0xff});  // 4 bytes, 601 back
  EXPECT_EQ(Decoded(compressed), text + "x---");
}

TEST(CompressionTest, WhatReachesOutsideIsRefused) {
  EXPECT_EQ(Decoded(""), "refused");  // no size
  EXPECT_EQ(Decoded(Hand({0x80, 0x80, 0x80, 0x80, 0x80, 1})), "refused");
  EXPECT_EQ(Decoded(Hand({4, 2 << 2, 'a', 'b', 'c'})), "refused");        // too few bytes
  EXPECT_EQ(Decoded(Hand({2, 2 << 2, 'a', 'b', 'c'})), "refused");        // too many
  EXPECT_EQ(Decoded(Hand({3, 2 << 2, 'a', 'b'})), "refused");             // cut literal
  EXPECT_EQ(Decoded(Hand({3, 61 << 2, 2})), "refused");                   // cut size
  EXPECT_EQ(Decoded(Hand({7, 2 << 2, 'a', 'b', 'c', 1, 4})), "refused");  // before the start
  EXPECT_EQ(Decoded(Hand({7, 2 << 2, 'a', 'b', 'c', 1, 0})), "refused");  // offset 0
  EXPECT_EQ(Decoded(Hand({6, 2 << 2, 'a', 'b', 'c', 1, 3})), "refused");  // beyond the end
  EXPECT_EQ(Decoded(Hand({7, 2 << 2, 'a', 'b', 'c', 1})), "refused");     // cut offset
}

TEST(CompressionTest, AClaimThatNoBlockCouldHoldIsRefusedUnallocated) {
  std::string compressed;
  PutVarint32(compressed, UINT32_MAX);
  EXPECT_EQ(*SnappyDecodedSize(AsBytes(compressed)), UINT32_MAX);
  EXPECT_EQ(Decoded(compressed + "abc"), "refused");
}

// Text with repetitions near and far.
std::string RandomText(std::mt19937& random) {
  std::string text;
  const size_t size = random() % 100'000;
  while (text.size() < size) {
    if (text.empty() || random() % 2 == 0) {
      text += static_cast<char>(random());
    } else {
      const size_t from = random() % text.size();
      text += text.substr(from, random() % 200);
    }
  }
  return text;
}

TEST(CompressionTest, WhatOurTestEncoderMakesComesBack) {
  std::mt19937 random(5);
  for (int i = 0; i < 20; ++i) {
    const std::string text = RandomText(random) + std::string(random() % 1000, 'r');
    EXPECT_EQ(Decoded(EncodeSnappy(text)), text);
  }
}

TEST(CompressionTest, WhatSnappyItselfMakesComesBack) {
#ifdef TENSORBUNDLE_HAVE_SNAPPY
  std::mt19937 random(6);
  for (int i = 0; i < 50; ++i) {
    const std::string text = RandomText(random);
    std::string compressed(snappy_max_compressed_length(text.size()), '\0');
    size_t size = compressed.size();
    ASSERT_EQ(snappy_compress(text.data(), text.size(), compressed.data(), &size), SNAPPY_OK);
    compressed.resize(size);
    EXPECT_EQ(Decoded(compressed), text);
  }
#else
  GTEST_SKIP() << "Snappy is not installed (libsnappy-dev)";
#endif
}

}  // namespace
}  // namespace tensorbundle::format
