#include "base/arithmetic.h"

#include <gtest/gtest.h>

namespace tensorbundle {
namespace {

constexpr uint64_t kMax = UINT64_MAX;

TEST(ArithmeticTest, ASumThatFitsIsGiven) {
  EXPECT_EQ(CheckedAdd(2, 3), 5u);
  EXPECT_EQ(CheckedAdd(kMax, 0), kMax);
  EXPECT_EQ(CheckedAdd(kMax - 1, 1), kMax);
}

TEST(ArithmeticTest, ASumThatWrapsIsAbsent) {
  EXPECT_EQ(CheckedAdd(kMax, 1), std::nullopt);
  EXPECT_EQ(CheckedAdd(1, kMax), std::nullopt);
  EXPECT_EQ(CheckedAdd(kMax, kMax), std::nullopt);
}

TEST(ArithmeticTest, AProductThatFitsIsGiven) {
  EXPECT_EQ(CheckedMultiply(0, kMax), 0u);
  EXPECT_EQ(CheckedMultiply(kMax, 0), 0u);
  EXPECT_EQ(CheckedMultiply(kMax, 1), kMax);
  EXPECT_EQ(CheckedMultiply(uint64_t{1} << 32, (uint64_t{1} << 32) - 1), kMax - 0xffffffff);
}

TEST(ArithmeticTest, AProductThatWrapsIsAbsent) {
  EXPECT_EQ(CheckedMultiply(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(CheckedMultiply(kMax, 2), std::nullopt);
}

TEST(ArithmeticTest, AligningUpStopsAtTheNextMultiple) {
  EXPECT_EQ(CheckedAlignUp(0, 64), 0u);
  EXPECT_EQ(CheckedAlignUp(1, 64), 64u);
  EXPECT_EQ(CheckedAlignUp(64, 64), 64u);
  EXPECT_EQ(CheckedAlignUp(65, 64), 128u);
  EXPECT_EQ(CheckedAlignUp(7, 1), 7u);
  EXPECT_EQ(CheckedAlignUp(kMax, 2), std::nullopt);
}

TEST(ArithmeticTest, DividingRoundsUpWithoutWrapping) {
  EXPECT_EQ(CeilDivide(0, 4), 0u);
  EXPECT_EQ(CeilDivide(1, 4), 1u);
  EXPECT_EQ(CeilDivide(8, 4), 2u);
  EXPECT_EQ(CeilDivide(kMax, 2), uint64_t{1} << 63);
}

}  // namespace
}  // namespace tensorbundle
