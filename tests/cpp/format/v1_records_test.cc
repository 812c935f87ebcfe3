#include "format/v1_records.h"

#include <gtest/gtest.h>

#include <string>

#include "format/hex.h"

namespace tensorbundle::format {
namespace {

Code CodeOf(std::string_view hex) {
  const std::string value = FromHex(hex);
  return ForEachV1Tensor(AsBytes(value), [](std::string_view, Bytes) { return Status(); })
      .code();
}

// "a: Ok b: BadShape", in the order of the list.
std::string Told(std::string_view hex) {
  const std::string value = FromHex(hex);
  std::string told;
  const Status status =
      ForEachV1Tensor(AsBytes(value), [&](std::string_view name, Bytes message) {
        if (!told.empty()) told += ' ';
        told += name;
        told += ": ";
        told += CodeName(DecodeV1Tensor(message).status().code());
        return Status();
      });
  EXPECT_TRUE(status.ok()) << hex << ": " << status.ToString();
  return told;
}

// "a", float32, [3], one full slice: from TensorFlow 2.21.
constexpr std::string_view kList = "0a15 0a0f0a016112041202080318012202 0a00 12020801";

TEST(V1Records, AListOfTensorsIsDecoded) {
  const std::string value = FromHex(kList);
  size_t num_tensors = 0;
  const Status status =
      ForEachV1Tensor(AsBytes(value), [&](std::string_view name, Bytes message) {
        ++num_tensors;
        EXPECT_EQ(name, "a");
        const auto tensor = DecodeV1Tensor(message);
        if (!tensor.ok()) return tensor.status();
        EXPECT_EQ(tensor->dtype, DType::kFloat32);
        EXPECT_EQ(tensor->shape, Shape{3});
        EXPECT_EQ(tensor->slices, std::vector<Slice>{{Extent{}}});
        return Status();
      });
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(num_tensors, 1u);
}

TEST(V1Records, ABadTensorIsToldByItself) {
  EXPECT_EQ(Told("0a11 0a0f 0a0161 120412020803 184d 22020a00"), "a: BadDType");
  EXPECT_EQ(Told("0a1a 0a18 0a0161 120d120b08ffffffffffffffffff01 1801 22020a00"),
            "a: BadShape");
  EXPECT_EQ(Told("0a0d 0a0b 0a0161 120412020803 1801"), "a: BadSlice");  // none
  EXPECT_EQ(Told("0a13 0a11 0a0161 120412020803 1801 22040a021004"), "a: BadSlice");
  EXPECT_EQ(Told("0a15 0a13 0a0161 120412020803 1801 22020a00 22020a00"), "a: BadSlice");
  EXPECT_EQ(Told("0a0f 0a0d 0a0161 120412020803 1801 2205"), "a: BadEntry");
}

TEST(V1Records, ABadTensorLeavesTheOthersReadable) {
  // "b" says nothing but its name; "c" breaks off behind it; "d" has a number for a shape.
  EXPECT_EQ(Told("0a30 0a0f0a0161120412020803180122020a00 0a030a0162 0a040a016312"
                 "0a090a01641003180122000a070a016518032200"),
            "a: Ok b: BadDType c: BadEntry d: BadEntry e: Ok");
}

TEST(V1Records, ATensorIsNamedWhereverItsNameStands) {
  // Behind a shape that is no message; and twice, of which the last counts.
  EXPECT_EQ(Told("0a10 0a0e 12021202 1801 2200 0a017a 0a0161"), "a: BadEntry");
}

TEST(V1Records, ATensorWithoutNameFailsTheList) {
  EXPECT_EQ(CodeOf("0a08 0a06 1200 1801 2200"), Code::kBadEntry);
  EXPECT_EQ(CodeOf("0a04 0a02 0a00"), Code::kBadEntry);    // an empty one
  EXPECT_EQ(CodeOf("0a05 0a03 0a0561"), Code::kBadEntry);  // that is cut short
  EXPECT_EQ(CodeOf("0a04 0a02 0801"), Code::kBadEntry);    // a number
}

TEST(V1Records, TheFirstRefusalEndsTheVisit) {
  const std::string value = FromHex("0a0a 0a030a0161 0a030a0162");
  size_t num_tensors = 0;
  const Status status = ForEachV1Tensor(AsBytes(value), [&](std::string_view, Bytes) {
    ++num_tensors;
    return Status(Code::kCancelled, "enough");
  });
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_EQ(num_tensors, 1u);
}

TEST(V1Records, OtherValuesOfTheEmptyKeyAreTold) {
  EXPECT_EQ(CodeOf("08011a020801"), Code::kUnsupportedFormat);  // a bundle's header
  EXPECT_EQ(CodeOf("0a05"), Code::kBadHeader);
  EXPECT_EQ(CodeOf("0a02 0a05"), Code::kBadHeader);               // a tensor past the end
  EXPECT_EQ(CodeOf("0a07 0a030a0161 0801"), Code::kBadHeader);    // a number for a tensor
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
