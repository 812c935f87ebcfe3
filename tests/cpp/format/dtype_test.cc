#include "format/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace tensorbundle::format {
namespace {

TEST(DType, EveryTypeIsFoundByItsNumber) {
  EXPECT_EQ(AllDTypes().size(), 32u);
  for (const DTypeInfo& info : AllDTypes()) {
    EXPECT_EQ(DTypeFromNumber(static_cast<uint64_t>(info.dtype)), info.dtype);
    EXPECT_EQ(&InfoOf(info.dtype), &info);
  }
}

TEST(DType, WhatIsNeverStoredHasNoType) {
  EXPECT_EQ(DTypeFromNumber(0), std::nullopt);    // DT_INVALID
  EXPECT_EQ(DTypeFromNumber(20), std::nullopt);   // DT_RESOURCE
  EXPECT_EQ(DTypeFromNumber(34), std::nullopt);   // not yet given out
  EXPECT_EQ(DTypeFromNumber(101), std::nullopt);  // DT_FLOAT_REF
  EXPECT_EQ(DTypeFromNumber(200), std::nullopt);
  EXPECT_EQ(DTypeFromNumber(UINT64_MAX), std::nullopt);  // -1
}

TEST(DType, NumbersNamesAndSizesAreTensorFlows) {
  EXPECT_EQ(DTypeFromNumber(1), DType::kFloat32);
  EXPECT_EQ(DTypeFromNumber(14), DType::kBfloat16);
  EXPECT_EQ(DTypeFromNumber(19), DType::kFloat16);
  EXPECT_EQ(DTypeFromNumber(21), DType::kVariant);
  EXPECT_EQ(DTypeFromNumber(33), DType::kFloat4E2m1fn);
  EXPECT_EQ(NameOf(DType::kFloat16), "float16");
  EXPECT_EQ(InfoOf(DType::kFloat16).tf_name, "DT_HALF");
  EXPECT_EQ(ElementSize(DType::kComplex128), 16u);
  EXPECT_EQ(ElementSize(DType::kInt4), 1u);  // one element to a byte
  EXPECT_EQ(InfoOf(DType::kInt4).value_bits, 4u);
  EXPECT_EQ(ElementSize(DType::kString), 0u);
  EXPECT_EQ(ElementSize(DType::kVariant), 0u);
}

TEST(DType, BytesChangePlacesWithinAComponent) {
  EXPECT_EQ(InfoOf(DType::kComplex64).swap_size, 4u);
  EXPECT_EQ(InfoOf(DType::kComplex128).swap_size, 8u);
  EXPECT_EQ(InfoOf(DType::kBfloat16).swap_size, 2u);
  EXPECT_EQ(InfoOf(DType::kBool).swap_size, 1u);
}

TEST(DType, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (const DTypeInfo& info : AllDTypes()) {
    names.insert(info.name);
    names.insert(info.tf_name);
  }
  EXPECT_EQ(names.size(), 2 * AllDTypes().size());
}

}  // namespace
}  // namespace tensorbundle::format
