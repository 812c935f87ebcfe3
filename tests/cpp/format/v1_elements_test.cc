#include "format/v1_elements.h"

#include <gtest/gtest.h>

#include <string>

#include "format/hex.h"

namespace tensorbundle::format {
namespace {

// The decoded elements, or the name of the fault, in hexadecimal.
std::string Decoded(std::string_view tensor_hex, DType dtype) {
  const std::string tensor = FromHex(tensor_hex);
  const auto elements = V1Elements::Open(AsBytes(tensor), dtype);
  if (!elements.ok()) return std::string(CodeName(elements.status().code()));
  std::string out(elements->count() * ElementSize(dtype), '?');
  const Status status =
      elements->CopyTo({reinterpret_cast<std::byte*>(out.data()), out.size()});
  EXPECT_EQ(elements->CopyTo({}).code(), status.code());  // a check finds the same
  return status.ok() ? ToHex(out) : std::string(CodeName(status.code()));
}

// The first two from TensorFlow 2.21: [1, 0, 1] saved by its Save op.
TEST(V1Elements, PackedNumbersAreDecoded) {
  EXPECT_EQ(Decoded("2a0c0000803f000000000000803f", DType::kFloat32),
            "0000803f000000000000803f");
  EXPECT_EQ(Decoded("6a058078008078", DType::kFloat16), "003c0000003c");
  EXPECT_EQ(Decoded("3a03010001", DType::kInt8), "010001");
  EXPECT_EQ(Decoded("5203ac0201", DType::kInt64), "2c010000000000000100000000000000");
  EXPECT_EQ(Decoded("5a020105", DType::kBool), "0101");
  EXPECT_EQ(Decoded("4a080000803f00000040", DType::kComplex64), "0000803f00000040");
}

TEST(V1Elements, NumbersOneByOneAndInSeveralRunsAreDecoded) {
  EXPECT_EQ(Decoded("3801 3a020203 3804", DType::kUint8), "01020304");
  EXPECT_EQ(Decoded("2d0000803f 2d00000040", DType::kFloat32), "0000803f00000040");
  EXPECT_EQ(Decoded("31000000000000f03f", DType::kFloat64), "000000000000f03f");
  EXPECT_EQ(Decoded("4d0000803f 4d00000040", DType::kComplex64), "0000803f00000040");
}

TEST(V1Elements, NegativeIntegersAreVarintsOfTenBytes) {
  EXPECT_EQ(Decoded("38ffffffffffffffffff01", DType::kInt8), "ff");
  EXPECT_EQ(Decoded("38ffffffffffffffffff01", DType::kInt32), "ffffffff");
  EXPECT_EQ(Decoded("50ffffffffffffffffff01", DType::kInt64), "ffffffffffffffff");
}

TEST(V1Elements, NumbersThatTheDTypeCannotHoldAreRefused) {
  EXPECT_EQ(Decoded("388001", DType::kInt8), "BadEntry");
  EXPECT_EQ(Decoded("388002", DType::kUint8), "BadEntry");
  EXPECT_EQ(Decoded("38ffffffffffffffffff01", DType::kUint16), "BadEntry");
  EXPECT_EQ(Decoded("68808004", DType::kFloat16), "BadEntry");
}

TEST(V1Elements, HalfANumberIsRefused) {
  EXPECT_EQ(Decoded("2a03000000", DType::kFloat32), "BadEntry");
  EXPECT_EQ(Decoded("3a0181", DType::kInt32), "BadEntry");
  EXPECT_EQ(Decoded("4a0400000000", DType::kComplex64), "BadEntry");    // no imaginary part
  EXPECT_EQ(Decoded("2a05", DType::kFloat32), "BadEntry");              // beyond the message
  EXPECT_EQ(Decoded("3a0bffffffffffffffffffff01", DType::kInt64), "");  // another field
  EXPECT_EQ(Decoded("520bffffffffffffffffffff01", DType::kInt64), "BadEntry");
}

TEST(V1Elements, AnotherWireTypeIsRefused) {
  EXPECT_EQ(Decoded("2801", DType::kFloat32), "BadEntry");
  EXPECT_EQ(Decoded("3d00000000", DType::kInt32), "BadEntry");
}

TEST(V1Elements, StringsAreViews) {
  const std::string tensor = FromHex("420161 4200 4202ff00");
  const auto elements = V1Elements::Open(AsBytes(tensor), DType::kString);
  ASSERT_TRUE(elements.ok());
  const auto strings = elements->Strings();
  ASSERT_EQ(strings.size(), 3u);
  EXPECT_EQ(AsText(strings[0]), "a");
  EXPECT_TRUE(strings[1].empty());
  EXPECT_EQ(AsText(strings[2]), std::string("\xff\0", 2));
}

TEST(V1Elements, ATensorProtoHasNoNumbersOfSomeDTypes) {
  EXPECT_EQ(Decoded("", DType::kInt4), "UnsupportedDType");
  EXPECT_EQ(Decoded("", DType::kVariant), "UnsupportedDType");
}

}  // namespace
}  // namespace tensorbundle::format
