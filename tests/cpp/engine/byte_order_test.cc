#include "engine/byte_order.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace tensorbundle::engine {
namespace {

ReadRequest Request(format::DType dtype, std::string& memory) {
  ReadRequest request;
  request.entry.dtype = dtype;
  request.out = {reinterpret_cast<std::byte*>(memory.data()), memory.size()};
  return request;
}

TEST(ByteOrder, EachDTypesWordsAreReversedAndOthersLeftAlone) {
  std::string half = "abcd";
  std::string complex64 = "abcdefgh";  // two words
  std::string complex128 = "abcdefghijklmnop";
  std::string bytes = "abcd";
  std::string strings = "abcd";
  const std::vector<ReadRequest> requests = {
      Request(format::DType::kFloat16, half), Request(format::DType::kComplex64, complex64),
      Request(format::DType::kComplex128, complex128), Request(format::DType::kInt4, bytes),
      Request(format::DType::kString, strings)};
  ASSERT_TRUE(ReverseDestinations(requests, 3).ok());
  EXPECT_EQ(half, "badc");
  EXPECT_EQ(complex64, "dcbahgfe");
  EXPECT_EQ(complex128, "hgfedcbaponmlkji");
  EXPECT_EQ(bytes, "abcd");
  EXPECT_EQ(strings, "abcd");
}

TEST(ByteOrder, ALargeTensorIsReversedPieceByPiece) {
  std::string memory(40u << 20, '\0');
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<char>(i * 7 + i / 4093);
  const std::string before = memory;
  const std::vector<ReadRequest> requests = {Request(format::DType::kInt64, memory)};
  ASSERT_TRUE(ReverseDestinations(requests, 4).ok());
  for (size_t i = 0; i < memory.size(); ++i) {
    ASSERT_EQ(memory[i], before[i / 8 * 8 + 7 - i % 8]) << i;
  }
}

TEST(ByteOrder, RequestsWithoutDestinationAreSkipped) {
  const std::vector<ReadRequest> requests(2);
  EXPECT_TRUE(ReverseDestinations(requests, 2).ok());
}

}  // namespace
}  // namespace tensorbundle::engine
