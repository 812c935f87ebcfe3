#include "base/text.h"

#include <gtest/gtest.h>

namespace tensorbundle {
namespace {

TEST(TextTest, ControlBytesCannotForgeALine) {
  EXPECT_EQ(EscapeForMessage("a\nb\x1b[0m\x7f"), "a\\x0ab\\x1b[0m\\x7f");
  EXPECT_EQ(EscapeForMessage(std::string("\0", 1)), "\\x00");
}

TEST(TextTest, ABackslashIsDoubledSoThatEscapesAreUnambiguous) {
  EXPECT_EQ(EscapeForMessage("a\\x0a"), "a\\\\x0a");
}

TEST(TextTest, Utf8IsKept) { EXPECT_EQ(Quoted("gewicht/größe"), "\"gewicht/größe\""); }

TEST(TextTest, WhatIsNotUtf8IsEscaped) {
  EXPECT_EQ(EscapeForMessage("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(EscapeForMessage("\xc3"), "\\xc3");           // cut
  EXPECT_EQ(EscapeForMessage("\xc3("), "\\xc3(");         // no continuation
  EXPECT_EQ(EscapeForMessage("\xc0\xaf"), "\\xc0\\xaf");  // overlong
  EXPECT_EQ(EscapeForMessage("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(EscapeForMessage("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(EscapeForMessage("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(EscapeForMessage("\xf0\x9f\x98\x80\xe2\x82\xac"), "\xf0\x9f\x98\x80\xe2\x82\xac");
}

TEST(TextTest, ALongNameIsCutAndItsSizeTold) {
  const std::string name = std::string(150, 'a') + std::string(150, 'b');
  EXPECT_EQ(Quoted(name),
            '"' + std::string(100, 'a') + "..." + std::string(100, 'b') + "\" (300 bytes)");
}

TEST(TextTest, HexHasAllEightDigits) {
  EXPECT_EQ(Hex(0), "0x00000000");
  EXPECT_EQ(Hex(0xa282ead8), "0xa282ead8");
}

}  // namespace
}  // namespace tensorbundle
