#include "base/bytes.h"

#include <gtest/gtest.h>

namespace tensorbundle {
namespace {

TEST(BytesTest, APartInsideIsGivenAsAView) {
  const Bytes bytes = AsBytes("abcdef");
  const auto part = Subspan(bytes, 2, 3);
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(AsText(*part), "cde");
  EXPECT_EQ(part->data(), bytes.data() + 2);
}

TEST(BytesTest, AnEmptyPartAtTheEndIsInside) {
  EXPECT_TRUE(Subspan(AsBytes("abc"), 3, 0).ok());
  EXPECT_TRUE(Subspan(Bytes(), 0, 0).ok());
}

TEST(BytesTest, APartThatIsNotInsideIsRefused) {
  EXPECT_EQ(Subspan(AsBytes("abc"), 4, 0).status().code(), Code::kOutOfRange);
  EXPECT_EQ(Subspan(AsBytes("abc"), 2, 2).status().code(), Code::kOutOfRange);
}

TEST(BytesTest, AnOffsetWhoseSumWrapsIsRefused) {
  EXPECT_EQ(Subspan(AsBytes("abc"), 2, UINT64_MAX).status().code(), Code::kOutOfRange);
  EXPECT_EQ(Subspan(AsBytes("abc"), UINT64_MAX, 2).status().code(), Code::kOutOfRange);
}

TEST(BytesTest, TextGoesToBytesAndBack) {
  const std::string_view text("\0\xff x", 4);
  EXPECT_EQ(AsText(AsBytes(text)), text);
}

TEST(BytesTest, EachWordIsReversedInItsPlace) {
  const auto reversed = [](std::string text, size_t word) {
    ReverseWords({reinterpret_cast<std::byte*>(text.data()), text.size()}, word);
    return text;
  };
  EXPECT_EQ(reversed("abcdefgh", 1), "abcdefgh");
  EXPECT_EQ(reversed("abcdefgh", 2), "badcfehg");
  EXPECT_EQ(reversed("abcdefgh", 4), "dcbahgfe");
  EXPECT_EQ(reversed("abcdefgh", 8), "hgfedcba");
  EXPECT_EQ(reversed("", 8), "");
}

}  // namespace
}  // namespace tensorbundle
