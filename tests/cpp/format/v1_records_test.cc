#include "format/v1_records.h"

#include <gtest/gtest.h>

#include <string>

#include "format/hex.h"

namespace tensorbundle::format {
namespace {

Code CodeOf(std::string_view hex) {
  const std::string value = FromHex(hex);
  return DecodeV1Tensors(AsBytes(value)).status().code();
}

// "a", float32, [3], one full slice: from TensorFlow 2.21.
constexpr std::string_view kList = "0a15 0a0f0a016112041202080318012202 0a00 12020801";

TEST(V1Records, AListOfTensorsIsDecoded) {
  const std::string value = FromHex(kList);
  const auto tensors = DecodeV1Tensors(AsBytes(value));
  ASSERT_TRUE(tensors.ok()) << tensors.status().ToString();
  ASSERT_EQ(tensors->size(), 1u);
  EXPECT_EQ(tensors->front().name, "a");
  EXPECT_EQ(tensors->front().dtype, DType::kFloat32);
  EXPECT_EQ(tensors->front().shape, Shape{3});
  EXPECT_EQ(tensors->front().slices, std::vector<Slice>{{Extent{}}});
}

TEST(V1Records, ABadTensorIsNamed) {
  const auto code_of = [](std::string_view hex) {
    const std::string value = FromHex(hex);
    const Status status = DecodeV1Tensors(AsBytes(value)).status();
    EXPECT_EQ(status.key(), "a") << hex;
    return status.code();
  };
  EXPECT_EQ(code_of("0a11 0a0f 0a0161 120412020803 184d 22020a00"), Code::kBadDType);
  EXPECT_EQ(code_of("0a1a 0a18 0a0161 120d120b08ffffffffffffffffff01 1801 22020a00"),
            Code::kBadShape);
  EXPECT_EQ(code_of("0a0d 0a0b 0a0161 120412020803 1801"), Code::kBadSlice);  // none
  EXPECT_EQ(code_of("0a13 0a11 0a0161 120412020803 1801 22040a021004"), Code::kBadSlice);
  EXPECT_EQ(code_of("0a0f 0a0d 0a0161 120412020803 1801 2205"), Code::kBadEntry);
}

TEST(V1Records, ATensorWithoutNameIsRefused) {
  EXPECT_EQ(CodeOf("0a08 0a06 1200 1801 2200"), Code::kBadEntry);
}

TEST(V1Records, OtherValuesOfTheEmptyKeyAreTold) {
  EXPECT_EQ(CodeOf("08011a020801"), Code::kUnsupportedFormat);  // a bundle's header
  EXPECT_EQ(CodeOf("0a05"), Code::kBadHeader);
  EXPECT_EQ(CodeOf("0a04 12021002"), Code::kUnsupportedVersion);  // needs version 2
}

TEST(V1Records, ARecordHasTheElementsOfItsTensor) {
  const std::string value = FromHex("120e 0a0161 12020a00 1a053a03010001");
  const auto tensor = DecodeV1Record(AsBytes(value), "a");
  ASSERT_TRUE(tensor.ok()) << tensor.status().ToString();
  EXPECT_EQ(ToHex(AsText(*tensor)), "3a03010001");
  EXPECT_EQ(DecodeV1Record(AsBytes(value), "b").status().code(), Code::kBadEntry);
  EXPECT_EQ(DecodeV1Record({}, "a").status().code(), Code::kBadEntry);
  EXPECT_EQ(DecodeV1Record(AsBytes(value).first(9), "a").status().code(), Code::kBadEntry);
}

}  // namespace
}  // namespace tensorbundle::format
