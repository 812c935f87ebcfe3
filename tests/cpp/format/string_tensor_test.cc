// String tensors: their bytes, and reliability.md, 2.3 E.

#include "format/string_tensor.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "format/coding.h"
#include "format/hex.h"

namespace tensorbundle::format {
namespace {

using Strings = std::vector<std::string>;

StringLayout LayOut(const Strings& strings) {
  std::vector<Bytes> elements;
  for (const std::string& string : strings) elements.push_back(AsBytes(string));
  auto layout = LayOutStrings(elements);
  EXPECT_TRUE(layout.ok());
  return std::move(layout).value();
}

std::string Join(const Strings& strings) {
  std::string out;
  for (const std::string& string : strings) out += string;
  return out;
}

Code CodeOf(std::string_view stored, uint64_t num_elements,
            checksum::MaskedCrc32c expected = {}, bool verify = false) {
  return DecodeStrings(AsBytes(stored), num_elements, expected, verify).status().code();
}

// `lengths` as varints, a checksum of the words that is right, and `rest`.
std::string Stored(const std::vector<uint64_t>& lengths, std::string_view rest) {
  std::string words;
  std::string out;
  for (const uint64_t length : lengths) {
    PutVarint64(out, length);
    if (length <= UINT32_MAX) {
      PutFixed32(words, static_cast<uint32_t>(length));
    } else {
      PutFixed64(words, length);
    }
  }
  PutFixed32(out, checksum::Mask(checksum::Compute(AsBytes(words))).value());
  return out.append(rest);
}

// bundle_format.md, 3.3 and 13; the checksums of the entries from TensorFlow 2.21
// (tensorflow_test.cc).
TEST(StringTensor, TensorsHaveTensorFlowsBytes) {
  const StringLayout three = LayOut({"hello", "", std::string(300, 'x')});
  EXPECT_EQ(ToHex(three.head),
            "0500ac02"
            "812c1d6d");
  EXPECT_EQ(three.size, 313u);
  EXPECT_EQ(checksum::Mask(three.crc).value(), 0xb048865bu);
  const StringLayout scalar = LayOut({"scalar"});
  EXPECT_EQ(ToHex(scalar.head),
            "06"
            "1c03ee55");
  EXPECT_EQ(scalar.size, 11u);
  EXPECT_EQ(checksum::Mask(scalar.crc).value(), 0x76b65f05u);
  EXPECT_EQ(ToHex(LayOut({""}).head),
            "00"
            "a67b113a");
  EXPECT_EQ(ToHex(LayOut({"hello"}).head),
            "05"
            "d9c69c43");
}

TEST(StringTensor, NoStringsAreAChecksumOfNothing) {
  const StringLayout none = LayOut({});
  EXPECT_EQ(ToHex(none.head), "d8ea82a2");
  EXPECT_EQ(none.size, 4u);
  EXPECT_EQ(checksum::Mask(none.crc).value(), 0x640cc1f6u);
}

TEST(StringTensor, StringsRoundTrip) {
  Strings strings = {"", "a", std::string(200, 'b'), std::string("\0\xff", 2), ""};
  for (int i = 0; i < 3000; ++i) strings.push_back("element " + std::to_string(i));
  const StringLayout layout = LayOut(strings);
  const std::string stored = layout.head + Join(strings);
  ASSERT_EQ(stored.size(), layout.size);
  const auto decoded =
      DecodeStrings(AsBytes(stored), strings.size(), checksum::Mask(layout.crc), true);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  ASSERT_EQ(decoded->size(), strings.size());
  for (size_t i = 0; i < strings.size(); ++i) EXPECT_EQ(AsText((*decoded)[i]), strings[i]);
}

// Computed with the plain-Python reader, tests/reference.
TEST(StringTensor, BigEndianWordsAreRead) {
  const std::string stored = FromHex("050069af93d068656c6c6f");
  const auto decoded = DecodeStrings(AsBytes(stored), 2, checksum::MaskedCrc32c(0xbe76ce7f),
                                     true, std::endian::big);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(AsText((*decoded)[0]), "hello");
  EXPECT_EQ(AsText((*decoded)[1]), "");
  EXPECT_EQ(CodeOf(stored, 2), Code::kDataChecksumMismatch);  // as if it were little-endian
}

TEST(StringTensor, AnEmptyTensorMayHaveNoBytes) {
  EXPECT_EQ(CodeOf("", 0), Code::kOk);
  EXPECT_EQ(CodeOf("", 0, checksum::MaskedCrc32c(0xa282ead8), true), Code::kOk);
  EXPECT_EQ(CodeOf(FromHex("d8ea82a2"), 0, checksum::MaskedCrc32c(0x640cc1f6), true),
            Code::kOk);
}

TEST(StringTensor, TheChecksumOfNoBytesIsComparedAsTensorFlowDoes) {
  for (const uint32_t wrong : {0u, 7u}) {
    EXPECT_EQ(CodeOf("", 0, checksum::MaskedCrc32c(wrong), true), Code::kDataChecksumMismatch);
    EXPECT_EQ(CodeOf("", 0, checksum::MaskedCrc32c(wrong), false), Code::kOk);
  }
}

TEST(StringTensor, FewerBytesThanElementsAreRefused) {
  EXPECT_EQ(CodeOf("", 2), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf("123456789", 1 << 30), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf("123456789", UINT64_MAX), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf("12345", 2), Code::kSizeMismatch);
  EXPECT_EQ(CodeOf("123", 0), Code::kSizeMismatch);
}

TEST(StringTensor, LengthsThatDoNotAddUpAreRefused) {
  EXPECT_EQ(CodeOf(Stored({2, 3}, "hello"), 2), Code::kOk);
  EXPECT_EQ(CodeOf(Stored({2, 3}, "hell"), 2), Code::kBadStringLengths);
  EXPECT_EQ(CodeOf(Stored({2, 3}, "hello!"), 2), Code::kBadStringLengths);  // size too large
  EXPECT_EQ(CodeOf(Stored({2, 1ull << 33}, "hello"), 2), Code::kBadStringLengths);
  EXPECT_EQ(CodeOf(Stored({2, 1ull << 40}, "hello"), 2), Code::kBadStringLengths);
  EXPECT_EQ(CodeOf(Stored({2, UINT64_MAX}, "hello"), 2), Code::kBadStringLengths);
  EXPECT_EQ(CodeOf(Stored({5}, ""), 0), Code::kBadStringLengths);
}

TEST(StringTensor, ASumOfLengthsThatWrapsIsRefused) {
  // 2^63 + 2^63 + 5 is 5 in 64 bits
  EXPECT_EQ(CodeOf(Stored({1ull << 63, 1ull << 63, 5}, "hello"), 3), Code::kBadStringLengths);
  EXPECT_EQ(CodeOf(Stored({6, UINT64_MAX}, "hello"), 2), Code::kBadStringLengths);
}

TEST(StringTensor, LengthsThatAreNoVarintsAreRefused) {
  EXPECT_EQ(CodeOf(FromHex("8080808080808080808000") + "12345678", 1),
            Code::kBadStringLengths);
  EXPECT_EQ(CodeOf(FromHex("8080808080"), 1), Code::kBadStringLengths);
}

TEST(StringTensor, AWrongChecksumOfTheLengthsIsAlwaysFound) {
  std::string stored = Stored({2, 3}, "hello");
  stored[2] ^= 1;
  EXPECT_EQ(CodeOf(stored, 2), Code::kDataChecksumMismatch);
  // Lengths that still add up: {3, 2} with the checksum of {2, 3}.
  std::string swapped = Stored({2, 3}, "hello");
  std::swap(swapped[0], swapped[1]);
  EXPECT_EQ(CodeOf(swapped, 2), Code::kDataChecksumMismatch);
}

TEST(StringTensor, WrongStringsAreFoundWhenVerifying) {
  const StringLayout layout = LayOut({"hel", "lo"});
  const checksum::MaskedCrc32c expected = checksum::Mask(layout.crc);
  EXPECT_EQ(CodeOf(layout.head + "hello", 2, expected, true), Code::kOk);
  EXPECT_EQ(CodeOf(layout.head + "hellO", 2, expected, true), Code::kDataChecksumMismatch);
  EXPECT_EQ(CodeOf(layout.head + "hellO", 2, expected, false), Code::kOk);
}

TEST(StringTensor, EveryFlippedBitIsFound) {
  const Strings strings = {"hello", "", "world of strings"};
  const StringLayout layout = LayOut(strings);
  const std::string stored = layout.head + Join(strings);
  for (size_t bit = 0; bit < stored.size() * 8; ++bit) {
    std::string damaged = stored;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    EXPECT_NE(CodeOf(damaged, strings.size(), checksum::Mask(layout.crc), true), Code::kOk);
  }
}

TEST(StringTensor, ASizeAbove32BitsIsHashedAsEightBytes) {
  // Only the head of this mapping is ever touched.
  const uint64_t length = uint64_t{1} << 32;
  const std::string head = Stored({length}, "");
  const size_t size = head.size() + length;
  void* const map = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) GTEST_SKIP() << "no 4 GiB of address space";
  const std::span memory(static_cast<char*>(map), size);
  std::ranges::copy(head, memory.begin());
  const std::string_view stored(memory.data(), size);
  EXPECT_EQ(CodeOf(stored, 1), Code::kOk);
  std::string four_bytes;
  PutFixed32(four_bytes, 0);
  PutFixed32(four_bytes, checksum::Mask(checksum::Compute(AsBytes(four_bytes))).value());
  std::ranges::copy(four_bytes.substr(4), memory.subspan(VarintSize(length)).begin());
  EXPECT_EQ(CodeOf(stored, 1), Code::kDataChecksumMismatch);
  munmap(map, size);
}

}  // namespace
}  // namespace tensorbundle::format
