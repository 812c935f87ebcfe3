#include "format/separator.h"

#include <gtest/gtest.h>

namespace tensorbundle::format {
namespace {

TEST(Separator, TheFirstDifferentByteIsIncrementedWhereThereIsRoom) {
  EXPECT_EQ(ShortestSeparator("abcd", "abzz"), "abd");
  EXPECT_EQ(ShortestSeparator("layer_1/kernel", "layer_9"), "layer_2");
  EXPECT_EQ(ShortestSeparator("a\x7f", "a\xff"), "a\x80");  // bytes are unsigned
}

TEST(Separator, WithoutRoomTheLastKeyServesAsItIs) {
  EXPECT_EQ(ShortestSeparator("abc1", "abd0"), "abc1");  // c + 1 is not less than d
  EXPECT_EQ(ShortestSeparator("ab", "abc"), "ab");       // a prefix
  EXPECT_EQ(ShortestSeparator("", "abc"), "");
}

TEST(Separator, TheSuccessorIncrementsTheFirstByteItCan) {
  EXPECT_EQ(ShortSuccessor("abc"), "b");
  EXPECT_EQ(ShortSuccessor("\xff\xfe\x01"), "\xff\xff");
  EXPECT_EQ(ShortSuccessor("\xff\xff"), "\xff\xff");
  EXPECT_EQ(ShortSuccessor(""), "");
}

}  // namespace
}  // namespace tensorbundle::format
