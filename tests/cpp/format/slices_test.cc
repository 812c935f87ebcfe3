#include "format/slices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "format/hex.h"

namespace tensorbundle::format {
namespace {

// The signed number alone: what follows "00 00 01 | 01 01" and precedes the length.
std::string Signed(int64_t value) {
  const std::string key = EncodeSliceKey("", {{value, 0}});
  return ToHex(std::string_view(key).substr(5, key.size() - 6));
}

// bundle_format.md, 4.3: TensorFlow's encoding of these numbers.
TEST(Slices, SignedNumbersAreTensorFlows) {
  const std::pair<int64_t, const char*> known[] = {
      {0, "80"},
      {1, "81"},
      {63, "bf"},
      {64, "c040"},
      {127, "c07f"},
      {128, "c080"},
      {8191, "dfff"},
      {8192, "e02000"},
      {1048575, "efffff"},
      {1048576, "f0100000"},
      {134217728, "f808000000"},
      {99999997, "f5f5e0fd"},
      {int64_t{1} << 33, "fa00000000"},
      {int64_t{1} << 34, "fc0400000000"},
      {int64_t{1} << 41, "fe020000000000"},
      {int64_t{1} << 48, "ff01000000000000"},
      {int64_t{1} << 55, "ff8080000000000000"},
      {int64_t{1} << 62, "ffc04000000000000000"},
      {-1, "7f"},
      {-64, "40"},
      {-65, "3fbf"},
  };
  for (const auto& [value, hex] : known) EXPECT_EQ(Signed(value), hex) << value;
}

TEST(Slices, AKeyHasTensorFlowsBytes) {
  const std::string key = EncodeSliceKey("v", {{0, 2}, {}});
  EXPECT_EQ(ToHex(key), "0076000101028082807f");
  // Written by TensorFlow 2.21 (tensorflow_test.cc, kSlicedIndex).
  EXPECT_EQ(ToHex(EncodeSliceKey("v", {{2, 2}, {0, 6}})), "00760001010282828086");
  EXPECT_EQ(ToHex(EncodeSliceKey("w", {{1, 2}})),
            "00770001"
            "0101"
            "8182");
}

TEST(Slices, ZerosAndLastBytesInANameAreEscaped) {
  const std::string name("a\0b\xff", 4);
  const std::string key = EncodeSliceKey(name, {});
  EXPECT_EQ(ToHex(key),
            "00"
            "61"
            "00ff"
            "62"
            "ff00"
            "0001"
            "00");
  ASSERT_TRUE(DecodeSliceKey(key).has_value());
  EXPECT_EQ(DecodeSliceKey(key)->name, name);
}

TEST(Slices, EveryKeyDecodesToWhatItWasMadeOf) {
  const std::vector<int64_t> numbers = {0,         1,         63,       64,      8191,
                                        8192,      1 << 20,   -1,       -64,     -65,
                                        INT64_MAX, INT64_MIN, 1L << 49, 1L << 56};
  for (const int64_t start : numbers) {
    for (const int64_t length : numbers) {
      const Slice slice = {{start, length}, {}, {length, start}};
      const auto decoded = DecodeSliceKey(EncodeSliceKey("layer/kernel", slice));
      ASSERT_TRUE(decoded.has_value()) << start << ", " << length;
      EXPECT_EQ(decoded->name, "layer/kernel");
      EXPECT_EQ(decoded->slice, slice);
    }
  }
}

TEST(Slices, KeysSortLikeTheirStarts) {
  const std::vector<int64_t> starts = {INT64_MIN, -8193, -65, -64, -1,   0,
                                       1,         63,    64,  127, 8192, INT64_MAX};
  std::vector<std::string> keys;
  for (const int64_t start : starts) keys.push_back(EncodeSliceKey("v", {{start, 1}}));
  EXPECT_TRUE(std::ranges::is_sorted(keys));
}

TEST(Slices, WhatIsNotAKeyIsNotDecoded) {
  for (const char* hex : {
           "",                                  // nothing
           "76",                                // an ordinary name
           "00",                                // no name
           "0076",                              // the name does not end
           "007600",                            // half an escape
           "00760002010280",                    // an unknown escape
           "0076ff010001010180",                // another
           "00760001",                          // no rank
           "007600010101",                      // no extents
           "0076000101018082807f",              // more than the rank says
           "0076000102000180ff",                // the rank has a byte too many
           "007600010101c00180",                // the start has a byte too many
           "00760001090101010101010101018082",  // a number of nine bytes
           "0101760001010180",                  // does not begin with 0
           "0076000101018082ff",                // something follows
           "00760001010180ff",                  // the length is cut off
           "0076000101"
           "01"
           "ffffffffffffffffffff"
           "82",  // no such size
       }) {
    EXPECT_EQ(DecodeSliceKey(FromHex(hex)).has_value(), false) << hex;
  }
}

TEST(Slices, ACutKeyIsNeverAKey) {
  const std::string key = EncodeSliceKey("layer/kernel", {{5, 700}, {1 << 20, 1 << 20}});
  for (size_t size = 0; size < key.size(); ++size) {
    EXPECT_FALSE(DecodeSliceKey(key.substr(0, size)).has_value()) << size;
  }
}

TEST(Slices, ARankAboveTheLimitIsNoKey) {
  EXPECT_TRUE(DecodeSliceKey(EncodeSliceKey("v", Slice(kMaxRank))).has_value());
  EXPECT_FALSE(DecodeSliceKey(EncodeSliceKey("v", Slice(kMaxRank + 1))).has_value());
}

}  // namespace
}  // namespace tensorbundle::format
