#include "format/variant_tensor.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/coding.h"
#include "format/elements.h"
#include "format/hex.h"

namespace tensorbundle::format {
namespace {

struct Tensor {
  std::string stored;
  checksum::Crc32c crc;
};

// bundle_format.md, 3.4.
Tensor Store(const std::vector<std::string>& values, std::endian order) {
  Tensor tensor;
  const auto extend = [&](const std::string& bytes) {
    tensor.crc = checksum::Extend(tensor.crc, AsBytes(bytes));
  };
  for (const std::string& value : values) {
    std::string size;
    PutFixed64(size, InOrder(order, uint64_t{value.size()}));
    extend(size);
    extend(value);
    std::string word;
    PutFixed32(word, InOrder(order, checksum::Mask(tensor.crc).value()));
    extend(word);
    PutVarint64(tensor.stored, value.size());
    tensor.stored += value + word;
  }
  return tensor;
}

Code CodeOf(const Tensor& tensor, uint64_t num_elements, bool verify = true) {
  return DecodeVariants(AsBytes(tensor.stored), num_elements, checksum::Mask(tensor.crc),
                        verify)
      .status()
      .code();
}

TEST(VariantTensor, ElementsComeBackFromBothByteOrders) {
  const std::vector<std::string> values = {"first", "", std::string(300, 'x')};
  for (const std::endian order : {std::endian::little, std::endian::big}) {
    const Tensor tensor = Store(values, order);
    const auto decoded = DecodeVariants(AsBytes(tensor.stored), values.size(),
                                        checksum::Mask(tensor.crc), true, order);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(AsText((*decoded)[i]), values[i]);
  }
}

TEST(VariantTensor, ElementsAreEncodedAsDescribed) {
  for (const std::vector<std::string>& values :
       {std::vector<std::string>{}, {""}, {"first", "", std::string(300, 'x')}}) {
    std::vector<Bytes> elements;
    for (const std::string& value : values) elements.push_back(AsBytes(value));
    const VariantBytes encoded = EncodeVariants(elements);
    const Tensor expected = Store(values, std::endian::little);
    EXPECT_EQ(encoded.stored, expected.stored);
    EXPECT_EQ(encoded.crc, expected.crc);
  }
}

TEST(VariantTensor, TheOtherByteOrderIsAWrongChecksum) {
  const Tensor tensor = Store({"first"}, std::endian::big);
  EXPECT_EQ(CodeOf(tensor, 1), Code::kDataChecksumMismatch);
}

TEST(VariantTensor, NoElementsAreNoBytes) {
  EXPECT_EQ(CodeOf({}, 0), Code::kOk);
  EXPECT_EQ(CodeOf({"x", {}}, 0), Code::kBadStringLengths);
}

TEST(VariantTensor, WhatDoesNotFitIsRefusedBeforeAnythingIsAllocated) {
  const Tensor tensor = Store({"first"}, std::endian::little);
  EXPECT_EQ(CodeOf(tensor, UINT64_MAX), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf(tensor, 3), Code::kSizeMismatch);  // of five bytes at least
  EXPECT_EQ(CodeOf(tensor, 2), Code::kBadStringLengths);
  EXPECT_EQ(CodeOf({FromHex("ffffffffffffffffff01"), {}}, 1), Code::kBadStringLengths);
}

TEST(VariantTensor, ADamagedElementIsFoundOnlyWhereAskedFor) {
  Tensor tensor = Store({"first", "second"}, std::endian::little);
  tensor.stored[12] ^= 1;
  EXPECT_EQ(CodeOf(tensor, 2), Code::kDataChecksumMismatch);
  EXPECT_EQ(CodeOf(tensor, 2, false), Code::kOk);
}

TEST(VariantTensor, TheEntrysChecksumIsOfTheWholeTensor) {
  Tensor tensor = Store({"first"}, std::endian::little);
  tensor.crc = {};
  EXPECT_EQ(CodeOf(tensor, 1), Code::kDataChecksumMismatch);
}

TEST(VariantTensor, AnEntrySaysHowItsElementsAreDecoded) {
  const Tensor tensor = Store({"first"}, std::endian::big);
  Entry entry;
  entry.dtype = DType::kVariant;
  entry.crc32c = checksum::Mask(tensor.crc);
  const auto decoded = DecodeElements(entry, AsBytes(tensor.stored), std::endian::big, true);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(AsText(decoded->front()), "first");
}

}  // namespace
}  // namespace tensorbundle::format
