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

}  // namespace
}  // namespace tensorbundle
